import pytest

from steploop.projects.reid.data.labelled import Labelled, make_subsets, part_test, split_identities


def images(identity, *cameras, split=None):
    return [Labelled(f"{identity}/{n}_{camera}.jpg", identity, camera, split) for n, camera in enumerate(cameras)]


def test_half_of_the_identities_are_tested_on_whatever_their_order():
    data = [image for name in "abcdefgh" for image in images(name, "1", "2")]
    splits = {image.identity: image.split for image in split_identities(data, "here")}
    assert sorted(splits.values()) == ["test"] * 4 + ["train"] * 4
    assert {image.identity: image.split for image in split_identities(data[::-1], "here")} == splits
    # Another image of an identity moves none.
    more = split_identities([*data, Labelled("a/9.jpg", "a", "3")], "here")
    assert {image.identity: image.split for image in more} == splits


def test_who_was_seen_by_one_camera_is_trained_on():
    data = [*images("a", "1", "2"), *images("b", "1", "1"), *images("c", "2")]
    assert {i.identity: i.split for i in split_identities(data, "here")} == {"a": "test", "b": "train", "c": "train"}


def test_one_image_by_each_camera_that_has_more_is_a_query():
    parted = part_test(images("a", "1", "1", "2", "2", "3", split="test"))
    assert [image.split for image in parted] == ["query", "gallery", "query", "gallery", "gallery"]
    alone = part_test(images("a", "1", "2", "3", split="test"))
    assert [image.split for image in alone] == ["query", "gallery", "gallery"]
    assert [image.split for image in part_test(images("a", "1", "1", split="test"))] == ["gallery", "gallery"]


def test_an_image_of_an_unknown_camera_has_one_of_its_own():
    data = [*images("7", "2", "2", None, None, split="train"), *images("9", "2", None, split="test")]
    train, query, gallery = make_subsets(data, "here")
    assert [item.camid for item in train] == [1, 1, 2, 3]
    assert {item.pid for item in train} == {7} and {item.pid for item in (*query, *gallery)} == {9}
    assert len({item.camid for item in (*query, *gallery)}) == 2


def test_names_that_are_no_numbers_are_numbered():
    train, query, gallery = make_subsets([*images("eve", "door", "gate"), *images("bob", "door", "gate")], "here")
    assert {item.pid for item in (*train, *query, *gallery)} == {1, 2}
    assert {item.camid for item in (*train, *query, *gallery)} == {0, 1}


def test_an_image_that_is_query_and_gallery_does_not_find_itself():
    same = [Labelled("a.jpg", "a", None, "query"), Labelled("a.jpg", "a", None, "gallery")]
    _, query, gallery = make_subsets([*same, Labelled("b.jpg", "a", None, "gallery")], "here")
    assert query[0].camid == gallery[0].camid != gallery[1].camid


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "here names no image"),
        (images("a", "1", "2"), "it has 1, 1 of them in images of two cameras; at least 2 and 1 are needed"),
        ([*images("a", "1", "1"), *images("b", "1", "1")], "it has 2, 0 of them in images of two cameras"),
        (images("a", "1", "2", split="query"), "has query images, but no gallery images"),
        ([*images("a", "1", split="test"), *images("b", "1", split="query")], "has test beside query"),
        ([*images("a", "1", split="query"), *images("a", "1", split="gallery")], "no image to test on has a match"),
    ],
)
def test_what_cannot_be_a_data_set_is_an_error(data, message):
    with pytest.raises(ValueError, match=message):
        make_subsets(data, "here")


def test_single_images_are_told(caplog):
    make_subsets([*images("a", "1", split="train"), *images("b", "1", "2", split="train")], "here")
    assert "1 of the 2 identities to train on have a single image" in caplog.text
