import pytest
import torch

from steploop.engine.checkpoint import prune, write_checkpoint


def write(folder, *iterations, prefix="model"):
    for iteration in iterations:
        path = folder / f"{prefix}_{iteration:07d}.pth"
        write_checkpoint(path, {"model": {"w": torch.ones(2)}, "iteration": iteration})
    return path


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_only_periodic_files_of_the_prefix_go(tmp_path):
    write(tmp_path, 9, prefix="model_best")
    for name in ("model_final.pth", "model_best.pth", "model_1.pth", "other_0000001.pth", "model_0000001.pth.bak"):
        (tmp_path / name).touch()
    before = names(tmp_path)
    write(tmp_path, 1, 2, 3)
    last = write(tmp_path, 12345678)
    assert prune(last, "model", 2) == ["model_0000001.pth", "model_0000002.pth"]
    assert names(tmp_path) == before | {"model_0000003.pth", "model_12345678.pth"}


def test_nothing_goes_when_the_successor_is_damaged(tmp_path, caplog):
    last = write(tmp_path, 1, 2)
    last.write_bytes(last.read_bytes()[:-100])
    assert prune(last, "model", 1) == []
    assert "model_0000001.pth" in names(tmp_path) and "No older checkpoint is deleted" in caplog.text


def test_what_was_just_written_is_the_newest(tmp_path):
    """After a resume from 299, because 399 and 499 were damaged, the first save must not be the one that goes."""
    write(tmp_path, 299)
    for iteration in (399, 499):
        (tmp_path / f"model_{iteration:07d}.pth").write_bytes(b"damaged")
    last = write(tmp_path, 349)
    assert prune(last, "model", 2) == ["model_0000399.pth", "model_0000499.pth"]


def test_at_least_one_is_kept(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        prune(write(tmp_path, 1), "model", 0)
