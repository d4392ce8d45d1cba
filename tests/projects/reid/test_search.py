"""Searching a folder, in the library and as a person starts it."""

import logging
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from market_folder import write_image
from reid_run import write_run
from steploop.projects.reid.predictor import ReidPredictor
from steploop.projects.reid.search import (
    FolderIndex,
    embed_queries,
    fingerprint,
    list_images,
    open_index,
    search,
)
from steploop.projects.reid.search_result import check_picture, draw_matches, format_matches

pytestmark = pytest.mark.usefixtures("one_thread")

SCRIPT = Path(__file__).parents[3] / "projects/reid/search.py"


@pytest.fixture(scope="module")
def run_cfg(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def predictor(run_cfg):
    return ReidPredictor(run_cfg)


@pytest.fixture
def folder(tmp_path):
    """Seven images in three folders, one of them in two copies."""
    for seed in range(4):
        write_image(tmp_path / "photos" / f"{seed}.png", seed)
    write_image(tmp_path / "photos" / "b" / "4.PNG", 4)
    write_image(tmp_path / "photos" / "b" / "c" / "5.png", 5)
    shutil.copy(tmp_path / "photos/2.png", tmp_path / "photos/b/2 again.png")
    return tmp_path / "photos"


def found(index, query, top=3):
    features = embed_queries(index.predictor, [query])
    return [match.path.relative_to(index.folder).as_posix() for match in search(index, features, top)[query]]


def test_images_of_all_folders_are_found_but_hidden_ones(folder):
    for name in (".hidden.png", ".trash/6.png", "notes.txt", "b/x.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "folder.png").mkdir()
    names = [path.relative_to(folder).as_posix() for path in list_images(folder)]
    assert names == ["0.png", "1.png", "2.png", "3.png", "b/2 again.png", "b/4.PNG", "b/c/5.png"]


def test_a_copy_comes_first_and_the_querys_own_file_not_at_all(folder, predictor, tmp_path):
    index = open_index(folder, predictor)
    ranked = found(index, folder / "2.png", top=9)
    assert ranked[0] == "b/2 again.png"
    assert sorted(ranked) == ["0.png", "1.png", "3.png", "b/2 again.png", "b/4.PNG", "b/c/5.png"]
    shutil.copy(folder / "2.png", tmp_path / "q.png")
    assert found(index, tmp_path / "q.png", top=2) == ["2.png", "b/2 again.png"]


def test_distances_are_those_of_the_features(folder, predictor):
    index = open_index(folder, predictor)
    query = folder / "0.png"
    paths = [path for path in list_images(folder) if path != query]
    expected = dict(zip(paths, (1 - predictor(paths) @ predictor(query)[0]).tolist()))
    matches = search(index, embed_queries(predictor, [query]), top=6)[query]
    assert {match.path: match.distance for match in matches} == pytest.approx(expected, abs=1e-5)
    assert [match.distance for match in matches] == sorted(match.distance for match in matches)
    assert matches[0].distance < matches[-1].distance - 1e-3


def test_only_what_changed_is_read(folder, predictor, tmp_path, monkeypatch):
    path = tmp_path / "kept" / "index.pt"
    open_index(folder, predictor, path)
    (folder / "3.png").unlink()
    write_image(folder / "1.png", seed=11)
    write_image(folder / "new.png", seed=12)
    read = []
    preprocess = predictor.preprocess
    monkeypatch.setattr(predictor, "preprocess", lambda one: read.append(Path(one).name) or preprocess(one))
    index = open_index(folder, predictor, path)
    assert sorted(read) == ["1.png", "new.png"]
    fresh = open_index(folder, predictor)
    assert sorted(index.gallery.ids) == sorted(fresh.gallery.ids)
    rows = dict(zip(fresh.gallery.ids, fresh.gallery.features))
    for name, row in zip(index.gallery.ids, index.gallery.features):
        assert row.numpy() == pytest.approx(rows[name].numpy(), abs=1e-6)
    read.clear()
    open_index(folder, predictor, path)
    assert read == []


def test_a_file_of_the_same_size_with_another_time_is_read_again(folder, predictor, monkeypatch):
    index = open_index(folder, predictor)
    os.utime(folder / "0.png", ns=(1, 1))
    assert index.update() == (["0.png"], [], {})
    assert index.update() == ([], [], {})


@pytest.mark.parametrize("what", ["folder", "predictor"])
def test_an_index_of_something_else_is_made_anew(folder, predictor, tmp_path, caplog, what):
    path = tmp_path / "index.pt"
    open_index(folder, predictor, path)
    if what == "folder":
        folder = shutil.copytree(folder, tmp_path / "copy")
    else:
        predictor = ReidPredictor(write_run(tmp_path / "other", seed=7))
    with caplog.at_level(logging.INFO, "steploop"):
        index = open_index(folder, predictor, path)
    assert f"index.pt was made with another {what}" in caplog.text
    assert "images 7, read 7, gone 0, skipped 0" in caplog.text
    assert torch.equal(index.gallery.features, open_index(folder, predictor).gallery.features)


def test_a_fingerprint_is_that_of_weights_and_input(run_cfg, tmp_path):
    cfg = run_cfg.clone()
    cfg.defrost()
    before = fingerprint(ReidPredictor(cfg))
    cfg.MODEL.WEIGHTS = str(shutil.copy(cfg.MODEL.WEIGHTS, tmp_path / "moved.pth"))
    cfg.MODEL.DEVICE = "auto"
    cfg.OUTPUT_DIR = "elsewhere"
    assert fingerprint(ReidPredictor(cfg)) == before
    cfg.INPUT.SIZE_TEST = [16, 16]
    assert fingerprint(ReidPredictor(cfg)) != before


def test_broken_images_are_skipped_by_name_until_they_change(folder, predictor, tmp_path, caplog):
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no image")
    index = FolderIndex(folder, predictor)
    with caplog.at_level(logging.WARNING, "steploop"):
        changes = index.update()
    assert sorted(changes.skipped) == ["empty.jpg", "text.png"]
    assert len(changes.read) == len(index.gallery) == 7
    assert "skipped: image" in caplog.text
    assert "empty.jpg is empty" in caplog.text
    index.save(tmp_path / "index.pt")
    again = FolderIndex(folder, predictor)
    again.load(tmp_path / "index.pt")
    assert again.update().read == []
    write_image(folder / "text.png", seed=8)
    (folder / "empty.jpg").unlink()
    changes = again.update()
    assert (changes.read, changes.gone, changes.skipped) == (["text.png"], ["empty.jpg"], {})


def test_a_file_that_could_not_be_read_is_tried_again(folder, predictor, tmp_path, monkeypatch):
    def denied(one):
        raise PermissionError(f"{one}: permission denied")

    with monkeypatch.context() as patched:
        preprocess = predictor.preprocess
        patched.setattr(predictor, "preprocess", lambda one: (denied if one.name == "1.png" else preprocess)(one))
        index = FolderIndex(folder, predictor)
        assert list(index.update().skipped) == ["1.png"]
        index.save(tmp_path / "index.pt")
    again = FolderIndex(folder, predictor)
    again.load(tmp_path / "index.pt")
    assert again.update() == (["1.png"], [], {})
    assert len(again.gallery) == 7
    (folder / "1.png").unlink()
    assert index.update() == ([], ["1.png"], {})


def test_an_interrupted_update_goes_on(folder, predictor, monkeypatch):
    index = FolderIndex(folder, predictor)
    predictor.batch_size = 2
    (folder / "0.png").write_bytes(b"")
    with monkeypatch.context() as patched:
        results = iter([predictor.predict([predictor.preprocess(folder / f"{seed}.png") for seed in (1, 2)])])
        patched.setattr(predictor, "predict", lambda samples: next(results))
        with pytest.raises(StopIteration):
            index.update()
    write_image(folder / "0.png", seed=8)
    (folder / "1.png").unlink()  # it was read
    changes = index.update()
    assert (len(changes.read), changes.gone, changes.skipped) == (5, ["1.png"], {})
    assert sorted(index.gallery.ids) == ["0.png", "2.png", "3.png", "b/2 again.png", "b/4.PNG", "b/c/5.png"]


def test_the_querys_own_file_is_left_out_through_links(folder, predictor, tmp_path):
    (tmp_path / "elsewhere.png").symlink_to(folder / "2.png")
    shutil.move(folder / "0.png", tmp_path / "store.png")
    (folder / "0.png").symlink_to(tmp_path / "store.png")
    index = open_index(folder, predictor)
    assert "0.png" not in found(index, folder / "0.png", top=9)
    assert found(index, tmp_path / "elsewhere.png", top=1) == ["b/2 again.png"]
    assert len(found(index, folder / "0.png", top=6)) == 6


def test_weights_that_change_while_the_folder_is_read_are_not_those_of_the_index(folder, tmp_path):
    cfg, other = write_run(tmp_path / "run"), write_run(tmp_path / "other", seed=7)
    index = FolderIndex(folder, ReidPredictor(cfg))
    index.update()
    shutil.copy(other.MODEL.WEIGHTS, cfg.MODEL.WEIGHTS)  # as a training that goes on does
    index.save(tmp_path / "index.pt")
    assert not FolderIndex(folder, ReidPredictor(cfg)).load(tmp_path / "index.pt")


def test_a_file_that_is_no_index_is_left_alone(folder, predictor, tmp_path, run_cfg):
    text = tmp_path / "notes.txt"
    text.write_text("mine")
    weights = Path(shutil.copy(run_cfg.MODEL.WEIGHTS, tmp_path / "w.pth"))
    for path in (text, weights):
        before = path.read_bytes()
        with pytest.raises(ValueError, match=f"{path.name} is no index.*delete it, or name another file"):
            open_index(folder, predictor, path)
        assert path.read_bytes() == before


def test_nothing_to_search_in_is_an_error(tmp_path, predictor):
    with pytest.raises(FileNotFoundError, match="no folder .*gone"):
        open_index(tmp_path / "gone", predictor)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"holds no image to search among \(no file of \.jpg"):
        open_index(tmp_path / "none", predictor)
    (tmp_path / "none" / "a.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match="1 files are none that can be read"):
        open_index(tmp_path / "none", predictor)


def test_a_wrong_question_is_an_error(folder, predictor):
    with pytest.raises(FileNotFoundError, match="gone.png"):
        embed_queries(predictor, ["gone.png"])
    with pytest.raises(ValueError, match="top >= 1"):
        found(open_index(folder, predictor), folder / "0.png", top=0)
    with pytest.raises(ValueError, match=r"is a \.png, got x\.jpg"):
        check_picture("x.jpg", folder)
    with pytest.raises(ValueError, match="is in the folder that is searched"):
        check_picture(folder / "b" / "ranked.png", folder)


def test_the_picture_and_the_table(folder, predictor, tmp_path):
    index = open_index(folder, predictor)
    matches = search(index, embed_queries(predictor, [folder / "0.png", folder / "1.png"]), top=2)
    for name in ("1.png", "2.png"):
        draw_matches(matches, tmp_path / "out" / name, folder=folder, size=7)
    assert (tmp_path / "out/1.png").read_bytes() == (tmp_path / "out/2.png").read_bytes()
    with Image.open(tmp_path / "out" / "1.png") as image:
        assert image.mode == "RGB"
        colours = {colour for _, colour in image.getcolors(10**6)}
    assert {(0x4C, 0x7F, 0xD1), (0x3B, 0x42, 0x52)} <= colours  # gallery and query
    assert not {(0x2F, 0x9E, 0x5F), (0xD9, 0x46, 0x3F)} & colours  # nobody knows hits from misses
    table = format_matches(matches, folder)
    assert table.count("rank") == 2
    first = matches[folder / "0.png"][0]
    assert f"│      1 │     {first.distance:.4f} │ {first.path.relative_to(folder)}" in table


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run the script in a folder as a command does, in this process."""
    monkeypatch.chdir(tmp_path)
    program = runpy.run_path(str(SCRIPT))

    def run(*args):
        monkeypatch.setattr(sys, "argv", [SCRIPT.name, *map(str, args)])
        program["main"](program["parse_args"]())

    return run


def test_the_command(folder, run_cfg, tmp_path, command, capsys, caplog):
    shutil.copytree(Path(run_cfg.MODEL.WEIGHTS).parent, tmp_path / "output" / "mine")
    shutil.copy(folder / "2.png", tmp_path / "q.png")
    with caplog.at_level(logging.INFO, "steploop"):
        command("--query", "q.png", "--gallery", "photos", "--top", 2, "--index", "i.pt")
    assert "weights of output/mine/model_final.pth" in caplog.text
    assert "photos: images 7, read 7, gone 0, skipped 0" in caplog.text
    assert [line.split("│")[3].strip() for line in capsys.readouterr().out.splitlines() if "0.0000" in line] == [
        "2.png",
        "b/2 again.png",
    ]
    assert (tmp_path / "ranked.png").stat().st_size > 1000
    assert (tmp_path / "i.pt").is_file()


def test_the_command_looks_at_its_arguments_before_the_folder(folder, run_cfg, tmp_path, command, caplog):
    given = ("--weights", run_cfg.MODEL.WEIGHTS, "--gallery", "photos", "--index", "i.pt")
    with pytest.raises(FileNotFoundError, match="image gone.png does not exist"):
        command("--query", "gone.png", *given)
    with pytest.raises(ValueError, match="would be found"):
        command("--query", folder / "0.png", *given, "--output", "photos/ranked.png")
    with pytest.raises(ValueError, match="top >= 1"):
        command("--query", folder / "0.png", *given, "--top", 0, "TEST.IMS_PER_BATCH", 2)
    assert not list(tmp_path.glob("*.png"))


def test_help(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, SCRIPT, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0
    assert "search.py --query q.jpg --gallery folder/" in result.stdout
