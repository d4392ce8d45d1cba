import json

import pytest

from detection_data import coco_content, write_data
from steploop.projects.detection.data.coco import AnnotationError, chosen_classes, read_coco, records_of


def records(path, classes=None, **options):
    coco = read_coco(path)
    names = chosen_classes(coco, classes)
    return records_of(coco, path.rpartition("/")[0], names, **{"training": True, **options})


def test_labels_follow_the_names_and_not_the_file(tmp_path):
    path = write_data(tmp_path)
    default = records(path)
    assert chosen_classes(read_coco(path), None) == ("red", "green", "blue")
    turned = records(path, ("blue", "red", "green"))
    assert [(2 - label) % 3 for label in turned[2].labels] == [(1 - label) % 3 for label in default[2].labels]
    only = records(path, "green")
    assert all((record.labels == 0).all() and len(record.boxes) for record in only) and len(only) < 6
    assert len(records(path, "green", training=False)) == 6
    x, y, w, h = coco_content()["annotations"][0]["bbox"]
    assert default[0].boxes.tolist() == [[x, y, x + w, y + h]]


def test_crowds_empty_and_small_images(tmp_path, caplog):
    content = coco_content()
    content["annotations"][0]["iscrowd"] = 1
    content["images"].append({"id": 1, "file_name": "small.png", "width": 96, "height": 20})
    path = write_data(tmp_path, content)
    with caplog.at_level("INFO"):
        found = records(path)
    assert [record.image_id for record in found] == [101, 102, 103, 104, 105]
    assert "1 without a box of the chosen classes, 1 smaller than 32 pixels" in caplog.text
    everything = records(path, filter_empty=False)
    assert len(everything) == 6 and len(everything[0].ignored) == 1 and not len(everything[0].boxes)


@pytest.mark.parametrize(
    ("box", "problem"),
    [([5, 5, 0, 9], "is 0 x 9 pixels"), ([5, 5, 9, -3], "9 x -3 pixels"), ([200, 5, 9, 9], "outside of its image")],
)
def test_bad_boxes_are_refused_by_name_or_dropped(tmp_path, box, problem):
    content = coco_content()
    content["annotations"][1]["bbox"] = box
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=rf"annotation 2 of image 101 \(1.png\) .*{problem}.*bad_boxes") as caught:
        records(str(path), check_files=False)
    assert str(path) in str(caught.value)
    assert len(records(str(path), check_files=False, bad_boxes="drop")[1].boxes) == 1
    with pytest.raises(ValueError, match='"raise" or "drop"'):
        records(str(path), bad_boxes="keep")


def changed(change):
    content = coco_content()
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "'images'"),
        (lambda c: c.update(annotations={}), "'annotations'"),
        (lambda c: c["images"][1].update(id=100), "images\\[1\\] has the id 100"),
        (lambda c: c["images"][1].update(file_name=""), "file_name"),
        (lambda c: c["images"][1].update(width="96"), "width must be a number"),
        (lambda c: c["images"][1].update(height=0), "height must be a number"),
        (lambda c: c["images"][1].pop("id"), "has no id"),
        (lambda c: c["annotations"][2].update(id=1), "must be unique"),
        (lambda c: c["annotations"][2].update(image_id=5), "image_id 5 is no image"),
        (lambda c: c["annotations"][2].update(category_id=1), "category_id 1 is no category"),
        (lambda c: c["annotations"][2].update(category_id=[1]), "category_id"),
        (lambda c: c["annotations"][2].update(bbox=[1, 2, 3]), "bbox must be"),
        (lambda c: c["annotations"][2].update(bbox=[1, 2, 3, float("nan")]), "bbox must be"),
        (lambda c: c["annotations"][2].update(area="large"), "area must be"),
        (lambda c: c["annotations"][2].update(iscrowd="no"), "iscrowd must be"),
        (lambda c: c["categories"].__setitem__(0, {"id": 7, "name": "blue"}), "'blue' comes twice"),
        (lambda c: c["categories"].__setitem__(0, {"id": 7}), "a category has"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(changed(change)))
    with pytest.raises(AnnotationError, match=message):
        read_coco(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no annotation file"):
        read_coco(tmp_path / "gone.json")
    for text, message in (("{", "no JSON"), ("[]", "no dict"), ("[" * 100_000, "no JSON"), ("\x00", "no JSON")):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(AnnotationError, match=message):
            read_coco(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(AnnotationError, match="no JSON"):
        read_coco(tmp_path / "x.json")
    (tmp_path / "good.json").write_text(json.dumps(coco_content()))
    with pytest.raises(FileNotFoundError, match="6 images of .* do not exist"):
        records(str(tmp_path / "good.json"))


def test_classes_that_are_not_there(tmp_path):
    coco = read_coco(write_data(tmp_path))
    for classes in (("red", "yellow"), (), ("red", "red")):
        with pytest.raises(AnnotationError, match=r"classes must name categories.*The file has: red, green, blue"):
            chosen_classes(coco, classes)
