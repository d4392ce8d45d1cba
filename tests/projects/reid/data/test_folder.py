import pytest

from market_folder import write_image
from steploop.projects.reid.data.folder import camera_of, read_folder


@pytest.mark.parametrize(
    ("name", "camera"),
    [
        ("c3_0001", "3"),
        ("0007_c2s1_01", "2"),
        ("door-cam12", "12"),
        ("camera_4/17", "4"),
        ("Cam 05", "5"),
        ("0001", None),
        ("abc3_0001", None),
        ("cat", None),
        ("c1234", None),
    ],
)
def test_the_camera_of_a_name(name, camera):
    assert camera_of(name) == camera


def test_a_folder_of_identities_is_split(tmp_path):
    for identity in ("ann", "bob", "eve", "joe"):
        for camera in (1, 2):
            for number in (0, 1):
                write_image(tmp_path / identity / f"c{camera}_{number}.png")
    (tmp_path / ".hidden").mkdir()
    train, query, gallery = read_folder(tmp_path)
    assert len(train) == 8 and len(query) == len(gallery) == 4
    assert not {item.pid for item in train} & {item.pid for item in query}
    assert {item.camid for item in query} == {0, 1}
    assert read_folder(tmp_path) == (train, query, gallery)


def test_folders_of_splits(tmp_path):
    write_image(tmp_path / "train" / "1" / "c1_0.png")
    write_image(tmp_path / "query" / "2" / "c1_0.png")
    write_image(tmp_path / "gallery" / "2" / "far" / "c2_0.jpg")
    train, query, gallery = read_folder(tmp_path)
    assert [(item.pid, item.camid) for item in (*train, *query, *gallery)] == [(1, 0), (2, 0), (2, 1)]
    assert gallery[0].img_path == str(tmp_path / "gallery" / "2" / "far" / "c2_0.jpg")


def test_train_and_test(tmp_path):
    write_image(tmp_path / "train" / "1" / "0.png")
    for number in range(3):
        write_image(tmp_path / "test" / "2" / f"{number}.png")
    train, query, gallery = read_folder(tmp_path)
    assert (len(train), len(query), len(gallery)) == (1, 1, 2)
    assert len({item.camid for item in (*query, *gallery)}) == 3


def test_what_is_ignored_is_told(tmp_path, caplog):
    for identity in ("a", "b"):
        for number in range(2):
            write_image(tmp_path / identity / f"{number}.png")
    write_image(tmp_path / "loose.png")
    (tmp_path / "empty").mkdir()
    read_folder(tmp_path)
    assert "ignored 1 subfolders without images and 1 images in no subfolder: empty, loose.png" in caplog.text


def test_no_images_are_an_error(tmp_path):
    write_image(tmp_path / "loose.png")
    with pytest.raises(ValueError, match="0 subfolders with no image in them, and 1 images of its own: expected a sub"):
        read_folder(tmp_path)


def test_a_folder_beside_the_splits_is_an_error(tmp_path):
    write_image(tmp_path / "train" / "1" / "0.png")
    write_image(tmp_path / "trian" / "1" / "0.png")
    with pytest.raises(ValueError, match="has the splits train and beside them trian: known splits are train, query"):
        read_folder(tmp_path)
