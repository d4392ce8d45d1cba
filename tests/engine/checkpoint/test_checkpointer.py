import errno
import logging
import os
import threading
from pathlib import Path

import fvcore.common.checkpoint
import pytest
import torch
from torch import nn

from steploop.engine.checkpoint import Checkpointer, DamagedCheckpoint, KeptBuffers, NoValidCheckpoint, read_checkpoint


class Counter:
    def __init__(self, value=0):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def make(folder, value=0, **kwargs):
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, value)
    return Checkpointer(model, folder, counter=Counter(value), **kwargs)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def flip(path):
    data = bytearray(path.read_bytes())
    data[data.index(b"FB") + 40] ^= 4
    path.write_bytes(data)


def test_save_and_load(tmp_path):
    make(tmp_path / "new", 3).save("model_0000004", iteration=4, note="hi")
    other = make("")
    rest = other.load(tmp_path / "new" / "model_0000004.pth")
    assert rest == {"iteration": 4, "note": "hi"}
    assert other.checkpointables["counter"].value == 3 and other.model.weight[0, 0] == 3
    assert (tmp_path / "new" / "last_checkpoint").read_text() == "model_0000004.pth"
    other.checkpointables["counter"].value = 9
    assert "counter" in other.load(tmp_path / "new" / "model_0000004.pth", checkpointables=[])
    assert other.checkpointables["counter"].value == 9


def test_interface_of_fvcore(tmp_path, caplog):
    ours = make(str(tmp_path))
    assert not ours.has_checkpoint() and ours.get_checkpoint_file() == "" and ours.get_all_checkpoint_files() == []
    assert ours.load("") == {}
    ours.save("a", iteration=0)
    ours.save("b", iteration=1)
    assert ours.has_checkpoint() and ours.get_checkpoint_file() == str(tmp_path / "b.pth")
    assert ours.get_all_checkpoint_files() == [str(tmp_path / "a.pth"), str(tmp_path / "b.pth")]
    ours.tag_last_checkpoint("a.pth")
    assert ours.get_checkpoint_file() == str(tmp_path / "a.pth")
    make(tmp_path, save_to_disk=False).save("c")
    make("").save("c")
    assert "c.pth" not in names(tmp_path)


def test_files_of_fvcore_load_here_and_ours_there(tmp_path):
    theirs = fvcore.common.checkpoint.Checkpointer(nn.Linear(2, 2), str(tmp_path), counter=Counter(5))
    theirs.save("model_0000000", iteration=0)
    ours = make(tmp_path)
    assert ours.resume_or_load("") == {"iteration": 0}
    assert torch.equal(ours.model.weight, theirs.model.weight) and ours.checkpointables["counter"].value == 5
    make(tmp_path, 8).save("model_0000001", iteration=1)
    assert theirs.resume_or_load("") == {"iteration": 1}
    assert theirs.model.weight[0, 0] == 8 and theirs.checkpointables["counter"].value == 8


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "/a"])
def test_names_stay_in_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        make(tmp_path).save(name)


def test_misuse_is_named(tmp_path):
    ours = make(tmp_path)
    with pytest.raises(KeyError, match="counter"):
        ours.add_checkpointable("counter", Counter())
    with pytest.raises(TypeError, match="state_dict"):
        ours.add_checkpointable("x", object())
    with pytest.raises(ValueError, match="model"):
        ours.save("a", model=1)
    with pytest.raises(TypeError, match="checkpoint.x is a builtins.object"):
        ours.save("a", x=object())
    assert names(tmp_path) == []
    ours.save("a")
    with pytest.raises(KeyError, match="nothing"):
        ours.load(tmp_path / "a.pth", checkpointables=["nothing"])


def test_callbacks_run_before_and_after(tmp_path):
    ours, seen = make(tmp_path), []
    ours.before_visible.append(lambda: seen.append(names(tmp_path)))
    ours.after_durable.append(lambda path: seen.append((path, names(tmp_path))))
    ours.save("a")
    assert seen == [[], (tmp_path / "a.pth", ["a.pth", "last_checkpoint"])]


def test_asynchronous_save_holds_the_state_of_the_call(tmp_path):
    threads = threading.active_count()  # other tests' libraries may have left daemon threads
    ours = make(tmp_path, 1, asynchronous=True)
    held, go, callers = Path.replace, threading.Event(), []
    ours.before_visible.append(lambda: callers.append(threading.current_thread()))
    extra = {"list": [1]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", lambda self, target: (go.wait(30), held(self, target))[1])
        ours.save("a", iteration=0, extra=extra)
        nn.init.constant_(ours.model.weight, 2)
        ours.checkpointables["counter"].value = 2
        extra["list"].append(2)
        assert not (tmp_path / "a.pth").exists()
        go.set()
        ours.wait()
    read = read_checkpoint(tmp_path / "a.pth")
    assert read["model"]["weight"].unique().tolist() == [1]
    assert read["counter"] == {"value": 1} and read["extra"] == {"list": [1]}
    assert callers == [threading.main_thread()]
    ours.save("b", iteration=1)
    ours.close()
    assert read_checkpoint(tmp_path / "b.pth")["model"]["weight"].unique().tolist() == [2]
    assert threading.active_count() == threads


def test_copy_happens_after_the_save_in_flight(tmp_path, monkeypatch):
    """The kept buffers must not be overwritten while the thread writes them."""
    ours, events = make(tmp_path, asynchronous=True), []
    copy, replace = KeptBuffers.copy, Path.replace
    monkeypatch.setattr(KeptBuffers, "copy", lambda self, tree: (events.append("copy"), copy(self, tree))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (events.append(target.name), replace(self, target))[1])
    ours.save("a")
    ours.save("b")
    ours.wait()
    assert events == ["copy", "a.pth", "last_checkpoint", "copy", "b.pth", "last_checkpoint"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_failed_save_surfaces_and_keeps_the_old_files(tmp_path, monkeypatch, asynchronous):
    ours = make(tmp_path, asynchronous=asynchronous)
    ours.save("a", iteration=0)
    ours.wait()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            ours.save("b", iteration=1)
            ours.wait()
    assert names(tmp_path) == ["a.pth", "last_checkpoint"]
    assert make(tmp_path).resume_or_load("")["iteration"] == 0
    ours.save("b", iteration=1)
    ours.close()
    assert make(tmp_path).resume_or_load("")["iteration"] == 1


def test_resume_without_a_checkpoint_starts_from_the_weights_and_says_so(tmp_path, caplog):
    make(tmp_path / "weights", 4).save("w", iteration=99)
    ours = make(tmp_path / "run", 1)
    with caplog.at_level(logging.INFO):
        ours.resume_or_load(tmp_path / "weights" / "w.pth")
    assert "No checkpoint was ever written" in caplog.text and ours.resumed_from == ""
    assert ours.model.weight[0, 0] == 4 and ours.checkpointables["counter"].value == 1


def test_without_resume_a_checkpoint_is_not_looked_at(tmp_path):
    make(tmp_path, 4).save("a", iteration=1)
    ours = make(tmp_path, 1)
    assert ours.resume_or_load("", resume=False) == {}
    assert ours.model.weight[0, 0] == 1


def test_resume_says_from_where(tmp_path, caplog):
    make(tmp_path).save("model_0000004", iteration=4)
    ours = make(tmp_path)
    with caplog.at_level(logging.INFO):
        ours.resume_or_load("")
    assert "model_0000004.pth, iteration 4" in caplog.text
    assert ours.resumed_from == str(tmp_path / "model_0000004.pth")


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "missing", "pointer lost", "pointer hostile"])
def test_newest_valid_one_is_used_when_the_newest_is_harmed(tmp_path, caplog, harm):
    for iteration in (4, 9, 14):
        make(tmp_path, iteration).save(f"model_{iteration:07d}", iteration=iteration)
    # The best one is newer than the one to fall back to, and is not taken.
    make(tmp_path, 12).save("model_best", tag_last=False, iteration=12)
    newest, pointer = tmp_path / "model_0000014.pth", tmp_path / "last_checkpoint"
    if harm == "flip":
        flip(newest)
    elif harm == "truncate":
        newest.write_bytes(newest.read_bytes()[:-700])
    elif harm == "empty":
        newest.write_bytes(b"")
    elif harm == "missing":
        newest.unlink()
    elif harm == "pointer lost":
        pointer.unlink()
    else:
        pointer.write_text("../../etc/passwd")
    ours = make(tmp_path)
    assert ours.has_checkpoint()
    iteration = 14 if "pointer" in harm else 9
    assert ours.resume_or_load("")["iteration"] == iteration
    assert ours.model.weight[0, 0] == iteration
    assert [record.levelname for record in caplog.records].count("WARNING") >= 1
    assert f"model_{iteration:07d}.pth" in caplog.text


def test_best_is_never_last(tmp_path):
    ours = make(tmp_path, 5)
    ours.save("model_best", tag_last=False, iteration=5)
    assert names(tmp_path) == ["model_best.pth"] and not ours.has_checkpoint()
    other = make(tmp_path, 1)
    assert other.resume_or_load("") == {}
    assert other.model.weight[0, 0] == 1
    assert other.load(tmp_path / "model_best.pth") == {"iteration": 5}


def test_weights_put_beside_a_new_run_are_not_resumed(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "resnet.pth")
    assert make(tmp_path).resume_or_load("") == {}


def test_files_but_none_valid_is_an_error(tmp_path):
    make(tmp_path).save("model_0000004", iteration=4)
    flip(tmp_path / "model_0000004.pth")
    with pytest.raises(NoValidCheckpoint, match="model_0000004.pth.*start again"):
        make(tmp_path).resume_or_load("")
    with pytest.raises(DamagedCheckpoint):
        make(tmp_path).load(tmp_path / "model_0000004.pth")
    (tmp_path / "last_checkpoint").unlink()
    with pytest.raises(NoValidCheckpoint):
        make(tmp_path).resume_or_load("")


def test_resume_into_another_model_is_an_error(tmp_path):
    make(tmp_path).save("a", iteration=1)
    with pytest.raises(ValueError, match="differs from the one in"):
        Checkpointer(nn.Linear(2, 3), tmp_path).resume_or_load("")


def test_ranks_resume_from_what_the_first_chose(tmp_path):
    from checkpoint_ranks import resume_on_rank

    (tmp_path / "run").mkdir()
    (tmp_path / "results").mkdir()
    make(tmp_path / "run", 4).save("model_0000004", iteration=4)
    make(tmp_path / "run", 7).save("model_0000007", iteration=7)
    flip(tmp_path / "run" / "model_0000007.pth")
    torch.multiprocessing.spawn(resume_on_rank, (str(tmp_path / "run"), str(tmp_path / "results")), nprocs=2)
    results = [(tmp_path / "results" / f"rank{rank}").read_text().splitlines() for rank in (0, 1)]
    file = str(tmp_path / "run" / "model_0000004.pth")
    # One rank that cannot read ends all of them.
    assert results == [[file, "4", "4.0", "RuntimeError"], [file, "4", "4.0", "FileNotFoundError"]]
    assert read_checkpoint(tmp_path / "run" / "model_0000009.pth")["rank"] == 0
