import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_folder import write_folders
from steploop.projects.reid.data import read_market1501
from steploop.projects.reid.data.market1501 import _FILE_NAME


def labels(items):
    return [(Path(item.img_path).name, item.pid, item.camid) for item in items]


def test_identities_and_cameras_are_in_the_names(tmp_path):
    train = ["0002_c1s1_000451_03.jpg", "0007_c6s3_077592_04.jpg", "1501_c12_f0044158.JPEG"]
    write_folders(tmp_path, train, ["0003_c1s1_000001_01.png"], ["0003_c2s1_000001_01.jpg"])
    found, query, gallery = read_market1501(tmp_path)
    assert labels(found) == [(train[0], 2, 0), (train[1], 7, 5), (train[2], 1501, 11)]
    assert labels(query) == [("0003_c1s1_000001_01.png", 3, 0)]
    assert labels(gallery) == [("0003_c2s1_000001_01.jpg", 3, 1)]
    assert found[0].img_path == str(tmp_path / "bounding_box_train" / train[0])


def test_junk_is_left_out_and_distractors_stay_in_the_gallery_only(tmp_path, caplog):
    names = ["-1_c1s1_000401_03.jpg", "0000_c1s1_000151_01.jpg", "0005_c1s1_000001_01.jpg"]
    write_folders(tmp_path, names, names, names)
    with caplog.at_level(logging.INFO, "steploop.projects.reid"):
        train, query, gallery = read_market1501(tmp_path)
    assert [item.pid for item in train] == [5]
    assert [item.pid for item in query] == [5]
    assert [item.pid for item in gallery] == [0, 5]
    assert "query: left out 2 junk (-1) or distractor (0000) images" in caplog.text
    assert "bounding_box_test: left out 1 junk (-1) images" in caplog.text


def test_what_is_no_image_is_ignored_and_named(tmp_path, caplog):
    others = ["Thumbs.db", "._0002_c1s1_000001_01.jpg", "readme.txt", "list.txt"]
    write_folders(tmp_path, [*others, "0002_c1s1_000001_01.jpg"])
    (tmp_path / "bounding_box_train" / "0004_c1s1_000001_01.jpg").mkdir()
    with caplog.at_level(logging.INFO, "steploop.projects.reid"):
        train, _, _ = read_market1501(tmp_path)
    assert [item.pid for item in train] == [2]
    named = "._0002_c1s1_000001_01.jpg, 0004_c1s1_000001_01.jpg, Thumbs.db, ..."
    assert f"ignored 5 entries that are no images: {named}" in caplog.text


@pytest.mark.parametrize("name", ["IMG_0001.jpg", "0002_c0s1_000001.jpg", "0002.jpg", "-2_c1s1_1.jpg", "x0002_c1.jpg"])
def test_a_name_that_tells_no_identity_is_an_error(tmp_path, name):
    write_folders(tmp_path, ["0002_c1s1_000001_01.jpg", name])
    with pytest.raises(ValueError, match=r"cannot tell identity and camera of .*0002_c1s1_000451_03.jpg") as error:
        read_market1501(tmp_path)
    assert str(tmp_path / "bounding_box_train" / name) in str(error.value)


@pytest.mark.parametrize("name", [f"{2**63}_c1.jpg", f"1_c{2**63}.jpg"])
def test_numbers_must_fit_into_int64(tmp_path, name):
    write_folders(tmp_path, [name])
    with pytest.raises(ValueError, match=r"too large: expected less than 2\*\*63"):
        read_market1501(tmp_path)


@settings(deadline=None)
@given(st.integers(-1, 2**62), st.integers(1, 2**62), st.sampled_from(["", "s1_000001_03", "_f0044158", "-x"]))
def test_every_identity_and_camera_is_understood(pid, camera, rest):
    match = _FILE_NAME.match(f"{pid:04d}_c{camera}{rest}.jpg" if pid >= 0 else f"-1_c{camera}{rest}.jpg")
    assert (int(match["pid"]), int(match["camera"])) == (pid, camera)


def test_missing_folders_are_named(tmp_path):
    (tmp_path / "market" / "query").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="bounding_box_train, bounding_box_test missing") as error:
        read_market1501(tmp_path / "market")
    assert "$STEPLOOP_DATASETS/<name>" in str(error.value)
    with pytest.raises(FileNotFoundError, match="bounding_box_train, query, bounding_box_test missing"):
        read_market1501(tmp_path / "nowhere")


def test_a_folder_too_deep_is_found_and_can_be_named(tmp_path):
    write_folders(tmp_path / "market" / "Market-1501-v15.09.15")
    with pytest.raises(FileNotFoundError, match="write 'market/Market-1501-v15.09.15' in DATASETS"):
        read_market1501(tmp_path / "market")


@pytest.mark.parametrize("folder", ["train", "query", "gallery"])
@pytest.mark.parametrize("names", [[], ["-1_c1s1_000001_01.jpg"], ["notes.txt"]])
def test_a_folder_without_a_usable_image_is_an_error(tmp_path, folder, names):
    write_folders(tmp_path, **{folder: names})
    with pytest.raises(ValueError, match="holds no usable image.*was the data set unpacked completely"):
        read_market1501(tmp_path)


def test_the_order_is_that_of_the_names(tmp_path):
    names = [f"{pid:04d}_c{camera}s1_000001_01.jpg" for pid in (9, 4, 7) for camera in (3, 1)]
    write_folders(tmp_path, names)
    assert [Path(item.img_path).name for item in read_market1501(tmp_path)[0]] == sorted(names)
