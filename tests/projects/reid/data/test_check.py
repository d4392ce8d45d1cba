import shutil

import pytest
from PIL import Image

from market_folder import write_image, write_market
from steploop.data import DatasetCatalog
from steploop.projects.reid.data import ReidDataset, ReidItem, check
from steploop.projects.reid.data.check import check_dataset


@pytest.fixture
def market(tmp_path):
    return write_market(tmp_path / "market")


def found(report):
    return {finding.kind: finding.count for finding in report.findings}


def image(folder, pattern):
    return sorted(folder.glob(pattern))[0]


def test_a_sound_set_has_no_finding(market):
    report = check_dataset(str(market))
    assert report.ok and not report.findings
    assert [(row["subset"], row["ids"], row["images"], row["cameras"]) for row in report.counts()] == [
        ("train", 4, 16, 2),
        ("query", 2, 4, 2),
        ("gallery", 2, 4, 2),
    ]


def test_progress_sees_every_image_once(market):
    seen = []
    check_dataset(str(market), lambda paths: seen.extend(paths) or paths)
    assert len(seen) == len(set(seen)) == 24


def test_an_image_in_training_and_test_is_a_leak_whatever_its_name(market):
    source = image(market, "bounding_box_train/0001_c1*")
    shutil.copy(source, market / "bounding_box_test" / "0005_c1s9_999999_00.png")
    report = check_dataset(str(market))
    assert found(report) == {"leak": 1} and not report.ok
    assert f"{source} (train)" in report.findings[0].examples[0]


def test_one_image_of_two_identities_is_a_conflict(market):
    shutil.copy(image(market, "bounding_box_train/0001_c1*"), market / "bounding_box_train" / "0002_c1s9_9_00.png")
    assert found(check_dataset(str(market))) == {"conflict": 1}


def test_a_query_in_the_gallery_of_another_camera(market):
    shutil.copy(image(market, "query/0005_c1*"), market / "bounding_box_test" / "0005_c2s9_9_00.png")
    report = check_dataset(str(market))
    assert found(report) == {"copied query": 1} and not report.ok


def test_duplicates_are_a_note(market):
    shutil.copy(image(market, "bounding_box_train/0001_c1*"), market / "bounding_box_train" / "0001_c1s9_9_00.png")
    report = check_dataset(str(market))
    assert found(report) == {"duplicate": 1} and report.ok


def test_broken_files_come_first_and_are_named(market):
    path = image(market, "bounding_box_train/0001_c1*")
    path.write_bytes(path.read_bytes()[:60])
    shutil.copy(image(market, "bounding_box_train/0002_c1*"), market / "bounding_box_train" / "0002_c1s9_9_00.png")
    report = check_dataset(str(market))
    assert [finding.kind for finding in report.findings] == ["broken", "duplicate"] and not report.ok
    assert str(path) in report.findings[0].examples[0]
    assert "Sizes are those of the images that can be read" in report.as_text()


def test_queries_without_a_match(market):
    for path in market.glob("bounding_box_test/0005_c2*"):
        path.unlink()
    report = check_dataset(str(market))
    assert found(report) == {"query without match": 1}
    assert "0005_c1" in report.findings[0].examples[0]


def test_single_images_and_odd_sizes_are_notes(market):
    for path in sorted(market.glob("bounding_box_train/0001_*"))[1:]:
        path.unlink()
    Image.new("RGB", (800, 20)).save(image(market, "bounding_box_train/0002_*"))
    report = check_dataset(str(market))
    assert found(report) == {"single image": 1, "odd size": 1} and report.ok
    assert "800 x 20" in {f.kind: f for f in report.findings}["odd size"].examples[0]


def test_identities_on_both_sides_of_a_csv(tmp_path):
    rows = ["path,identity,camera,split"]
    for number, row in enumerate(["a,1,train", "a,2,train", "a,1,query", "a,2,gallery", "b,1,gallery"]):
        write_image(tmp_path / f"{number}.png", number)
        rows.append(f"{number}.png,{row}")
    (tmp_path / "data.csv").write_text("\n".join(rows))
    assert found(check_dataset(str(tmp_path / "data.csv"))) == {"identity overlap": 1}


def test_a_registered_set_whose_identities_are_renumbered(tmp_path, monkeypatch):
    paths = [str(write_image(tmp_path / f"{number}.png", number)) for number in range(4)]
    items = [ReidItem(path, 0, camera) for camera, path in enumerate(paths)]
    monkeypatch.setattr(
        DatasetCatalog, "_makers", {"mine": lambda: ReidDataset("mine", items[:2], items[2:3], items[3:])}
    )
    assert check_dataset("mine").ok  # identity 0 of the training is not identity 0 of the queries


def test_no_such_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="unknown data set 'nowhere'"):
        check_dataset("nowhere")


def test_pictures_that_no_run_reads_are_found(tmp_path):
    for identity in range(4):
        for camera in (1, 2):
            write_image(tmp_path / f"{identity:04d}" / f"c{camera}.png")
    write_image(tmp_path / "0000" / "c3.png")
    (tmp_path / "0000" / "c3.png").rename(tmp_path / "0000" / "c4.ico")
    (tmp_path / "0000" / "notes.txt").write_text("no picture")
    report = check_dataset(str(tmp_path))
    assert not report.ok and found(report)["unread"] == 1


def test_a_pgm_is_read(tmp_path):
    for identity in range(4):
        for camera in (1, 2):
            path = tmp_path / f"{identity:04d}" / f"c{camera}.pgm"
            path.parent.mkdir(exist_ok=True)
            Image.effect_noise((8, 16), 50 + identity * 10 + camera).save(path)
    report = check_dataset(str(tmp_path))
    assert report.ok and sum(row["images"] for row in report.counts()) == 8


def test_what_training_refuses_is_told_before(market, monkeypatch):
    def refuse(name):
        raise ValueError("identity 7 has no camera")

    monkeypatch.setattr(check, "get_dataset", refuse)
    report = check_dataset(str(market))
    assert not report.ok
    (finding,) = report.findings
    assert finding.text == "a training refuses this data set: identity 7 has no camera"
