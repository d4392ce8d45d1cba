import json

from steploop.projects.reid.data import ReidItem
from steploop.projects.reid.data.report import Finding, Report


def report(findings=(), cameras=2):
    train = [ReidItem(f"{n}.jpg", n // 4, n % cameras) for n in range(8)]
    return Report("mine", {"train": train, "query": [], "gallery": []}, {"0.jpg": (8, 16), "1.jpg": (10, 12)}, findings)


def test_counts_and_spreads():
    row = report().counts()[0]
    assert (row["ids"], row["images"], row["cameras"]) == (2, 8, 2)
    assert row["images per id"] == {"min": 4, "median": 4, "max": 4}
    assert (row["width"], row["height"]) == ({"min": 8, "median": 9, "max": 10}, {"min": 12, "median": 14, "max": 16})
    assert report().counts()[1]["width"] is None


def test_cameras_count_from_one():
    rows = report().cameras()
    assert [(row["camera"], row["train ids"], row["train images"]) for row in rows] == [(1, 2, 4), (2, 2, 4)]


def test_the_text_tells_all_and_what_to_do():
    problem = Finding("broken", True, 5, "5 images cannot be read: delete them", ("a", "b", "c"))
    text = report([problem, Finding("duplicate", False, 1, "1 copy", ("d",))]).as_text()
    assert "PROBLEM: 5 images cannot be read: delete them\n    a\n    b\n    c\n    ... and 2 more" in text
    assert "note: 1 copy\n    d" in text and text.endswith("Not OK: see each PROBLEM.")
    assert report().as_text().endswith("OK: no problem was found.")


def test_images_of_unknown_cameras_are_told_in_one_line():
    assert "8 cameras have one image: so counts an image of an unknown camera." in report(cameras=8).as_text()


def test_the_same_as_json():
    data = json.loads(json.dumps(report([Finding("broken", True, 1, "text", ("a",))]).as_dict()))
    assert (data["name"], data["ok"], data["findings"][0]["kind"]) == ("mine", False, "broken")
    assert [row["subset"] for row in data["subsets"]] == ["train", "query", "gallery"]
