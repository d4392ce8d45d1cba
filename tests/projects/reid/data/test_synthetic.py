import io
import itertools
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colour_histogram import colour_histograms
from steploop.data.synthetic.scene import take_picture
from steploop.projects.reid.data import get_dataset, read_market1501, synthetic
from steploop.projects.reid.data.synthetic import Recipe, generate, generate_pedestrians
from steploop.projects.reid.evaluation import evaluate_retrieval

SMALL = Recipe(num_train=3, num_test=3, num_cameras=2, per_camera=2, seed=5)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return generate_pedestrians(tmp_path_factory.mktemp("data") / "small", SMALL, progress=False)


def pictures(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


# -- the data set ---------------------------------------------------------------------------------------


def test_the_layout_is_that_of_market1501(small):
    train, query, gallery = read_market1501(small)
    assert (len(train), len(query), len(gallery)) == (3 * 2 * 2, 3 * 2, 3 * 2 + 2 * 4)
    assert {item.pid for item in train} == {1, 2, 3}
    assert {item.pid for item in query} == {4, 5, 6}
    assert {item.pid for item in gallery} == {0, 4, 5, 6}
    assert {item.camid for item in (*train, *query, *gallery)} == {0, 1}
    assert len(list((small / "bounding_box_test").glob("-1_*"))) == 8
    for item in (*train, *query, *gallery):
        with Image.open(item.img_path) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (64, 128), "RGB")
    assert json.loads((small / "dataset.json").read_text()) == asdict(SMALL)


def test_each_query_has_a_match_before_another_camera(small):
    _, query, gallery = read_market1501(small)
    for item in query:
        assert any(other.pid == item.pid and other.camid != item.camid for other in gallery)


def test_every_pixel_follows_from_the_recipe(small, tmp_path):
    assert pictures(generate_pedestrians(tmp_path / "again", SMALL)) == pictures(small)
    other = pictures(generate_pedestrians(tmp_path / "other", replace(SMALL, seed=6)))
    expected = pictures(small)
    assert other.keys() == expected.keys()
    assert all(other[name] != expected[name] for name in expected)


def test_nobody_to_be_tested_is_seen_in_training(tmp_path, monkeypatch):
    shots = []
    monkeypatch.setattr(generate, "take_picture", lambda *shot: shots.append(shot) or Image.new("RGB", (64, 128)))
    root = generate_pedestrians(tmp_path / "set", SMALL)
    seen = {
        folder: {person.grain for _, walker, passers in parts for person in _people(walker, passers)}
        for folder, parts in itertools.groupby(_by_folder(root, shots), key=lambda part: part[0])
    }
    train = seen.pop("bounding_box_train")
    assert len(train) == 3
    assert len(set.union(*seen.values())) == 3
    assert not train & set.union(*seen.values())


def _people(walker, passers):
    return [one.person for one in ([walker] if walker else []) + list(passers)]


def _by_folder(root, shots):
    """Return (folder, walker, passers) of each shot; the third field of a name is the shot's number."""
    folders = {int(path.name.split("_")[2]): path.parent.name for path in root.glob("*/*.jpg")}
    return sorted(((folders[n], shot[0], shot[3]) for n, shot in enumerate(shots)), key=lambda part: part[0])


def test_the_name_is_known_to_every_config(tmp_path, monkeypatch, small):
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path))
    monkeypatch.setattr(synthetic, "generate_pedestrians", lambda root: generate_pedestrians(root, SMALL))
    dataset = get_dataset("synthetic-pedestrians")
    assert (dataset.num_pids, dataset.num_cams, len(dataset.query)) == (3, 2, 6)
    assert pictures(tmp_path / "synthetic-pedestrians") == pictures(small)


# -- whole or not at all ----------------------------------------------------------------------------------


def forbid(*args):
    raise AssertionError("nothing should be rendered")


def test_what_is_there_is_not_rendered_again(small, tmp_path, monkeypatch):
    root = shutil.copytree(small, tmp_path / "set")
    monkeypatch.setattr(generate, "take_picture", forbid)
    assert generate_pedestrians(str(root), SMALL) == root


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(tmp_path, monkeypatch, error):
    calls = []

    def fail_later(*args):
        calls.append(args)
        if len(calls) == 5:
            raise error
        return take_picture(*args)

    monkeypatch.setattr(generate, "take_picture", fail_later)
    with pytest.raises(type(error)):
        generate_pedestrians(tmp_path / "set", SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_text("notes")])
def test_something_else_is_never_touched(tmp_path, monkeypatch, make):
    monkeypatch.setattr(generate, "take_picture", forbid)
    make(tmp_path / "set")
    with pytest.raises(FileExistsError, match="is not a data set of synthetic pedestrians: move it, or choose another"):
        generate_pedestrians(tmp_path / "set", SMALL)


@pytest.mark.parametrize("change", [{"seed": 6}, {"num_train": 4}, {"version": 0}])
def test_another_recipe_is_an_error(small, tmp_path, monkeypatch, change):
    root = shutil.copytree(small, tmp_path / "set")
    monkeypatch.setattr(generate, "take_picture", forbid)
    with pytest.raises(FileExistsError, match="of another recipe .*: delete it to render"):
        generate_pedestrians(root, replace(SMALL, **change))
    assert pictures(root) == pictures(small)


def test_a_faster_process_wins(small, tmp_path, monkeypatch):
    def render_slowly(root, *args):
        shutil.copytree(small, tmp_path / "set")
        (root / "query").mkdir()

    monkeypatch.setattr(generate, "_render", render_slowly)
    assert generate_pedestrians(tmp_path / "set", SMALL) == tmp_path / "set"
    assert pictures(tmp_path / "set") == pictures(small)
    assert list(tmp_path.iterdir()) == [tmp_path / "set"]


def test_a_faster_process_with_another_recipe_is_an_error(small, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "_render", lambda *args: shutil.copytree(small, tmp_path / "set"))
    with pytest.raises(FileExistsError, match="of another recipe"):
        generate_pedestrians(tmp_path / "set", replace(SMALL, seed=6))
    assert pictures(tmp_path / "set") == pictures(small)
    assert list(tmp_path.iterdir()) == [tmp_path / "set"]


@pytest.mark.parametrize(
    "change",
    [{"num_train": 0}, {"num_test": 1}, {"num_cameras": 1}, {"num_cameras": 10}, {"per_camera": 1}, {"seed": -1}],
)
def test_impossible_recipes(change):
    with pytest.raises(ValueError, match=r"synthetic pedestrians need at least|a seed is not negative"):
        replace(SMALL, **change)


def test_too_many_people(tmp_path):
    with pytest.raises(ValueError, match=r"cannot draw 2000 people .*: only \d+ were found; ask for fewer"):
        generate_pedestrians(tmp_path / "set", Recipe(num_train=1998, num_test=2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("is_terminal", "progress"), [(True, True), (True, False), (False, True)])
def test_a_bar_on_a_terminal_only(tmp_path, monkeypatch, is_terminal, progress):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(generate, "take_picture", lambda *args: Image.new("RGB", (64, 128)))
    generate_pedestrians(tmp_path / "set", SMALL, progress=progress)
    assert ("rendering pedestrians" in terminal.getvalue()) == (is_terminal and progress)


# -- colour alone does not solve it -------------------------------------------------------------------------


def save_normalised(item, folder):
    """Save the middle of a picture with its own brightness, contrast and tint taken out; return the path."""
    pixels = np.asarray(Image.open(item.img_path), dtype=np.float32)[:, 16:48]
    pixels = 128 + 48 * (pixels - pixels.mean((0, 1))) / pixels.std((0, 1))
    path = folder / Path(item.img_path).with_suffix(".png").name
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return str(path)


def rank_1(query, gallery, path_of):
    return evaluate_retrieval(
        *(colour_histograms([path_of(item) for item in items]) for items in (query, gallery)),
        *([getattr(item, label) for item in items] for label in ("pid", "camid") for items in (query, gallery)),
        metric="euclidean",
    ).rank(1)


@pytest.mark.parametrize("seed", [0, 2])
def test_colours_alone_do_not_find_people(tmp_path, seed):
    recipe = Recipe(num_train=1, num_test=24, num_cameras=3, per_camera=2, seed=seed)
    _, query, gallery = read_market1501(generate_pedestrians(tmp_path / "set", recipe))
    assert rank_1(query, gallery, lambda item: item.img_path) < 0.5
    assert rank_1(query, gallery, lambda item: save_normalised(item, tmp_path)) < 0.5


def test_the_histograms_do_see_colours(tmp_path):
    paths = []
    for name, upper, lower in [("a", "red", "blue"), ("b", "#fa0505", "#0505fa"), ("c", "blue", "red")]:
        image = Image.new("RGB", (8, 16), upper)
        image.paste(lower, (0, 8, 8, 16))
        paths.append(tmp_path / f"{name}.png")
        image.save(paths[-1])
    features = colour_histograms(paths)
    assert features[0].equal(features[1])
    assert (features[0] - features[2]).norm() == 2  # nothing in common in either half
