from steploop.projects.reid.data import ReidItem


def test_an_item_is_a_tuple_of_path_identity_camera_and_turns():
    item = ReidItem("a.jpg", 3, 1)
    assert item == ("a.jpg", 3, 1, 0)
    assert (item.img_path, item.pid, item.camid) == ("a.jpg", 3, 1)
