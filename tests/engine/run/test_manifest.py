import json
import subprocess

import pytest
import torch

import exact_runs
from steploop.data import RepeatDataset, SharedRecords
from steploop.engine import HookBase, hooks
from steploop.engine.checkpoint import read_checkpoint
from steploop.engine.run.manifest import MAX_VALUES, config_hash, fingerprint, git_state
from tiny_project import TinyTrainer, tiny_cfg


@pytest.fixture
def build(tmp_path):
    def build(*overrides):
        cfg = tiny_cfg(tmp_path / "run", *overrides)
        cfg.freeze()
        return TinyTrainer(cfg)

    return build


@pytest.fixture
def manifest(tmp_path):
    return lambda: json.loads((tmp_path / "run" / "manifest.json").read_text())


class Fails(HookBase):
    def after_step(self):
        if self.trainer.iter == 6:
            raise RuntimeError("the power is gone")


def test_what_a_run_is_made_of_is_beside_and_in_its_checkpoints(build, manifest, tmp_path):
    trainer = build()
    trainer.train()
    beside = manifest()
    assert beside["versions"]["torch"] == torch.__version__
    assert beside["seed"] == 3 and beside["world_size"] == 1
    assert beside["config"]["SOLVER"]["BASE_LR"] == 0.001
    assert beside["config_hash"] == config_hash(trainer.cfg)
    assert beside["data"]["items"] == 40
    assert beside["git"].keys() == {"commit", "dirty"}
    assert beside["command"] and beside["started"] <= beside["ended"]
    for name in ("model_0000003.pth", "model_final.pth"):
        inside = read_checkpoint(tmp_path / "run" / name)["manifest"]
        assert json.loads(json.dumps(inside)) == {key: beside[key] for key in inside}
        assert inside.keys() == beside.keys() - {"started", "ended", "sessions"}  # nothing that tells the time


def test_every_session_of_a_run_is_kept(build, manifest):
    stopped = build()
    stopped.register_hooks([hooks.CallbackHook(after_step=lambda t: t.iter == 4 and t.request_stop("enough"))])
    stopped.train()
    failed = build()
    failed.register_hooks([Fails()])
    failed.resume_or_load()
    with pytest.raises(RuntimeError):
        failed.train()
    last = build()
    last.resume_or_load()
    last.train()
    sessions = manifest()["sessions"]
    assert [(s["first_iter"], s["last_iter"], s["reason"]) for s in sessions] == [
        (0, 4, "enough"),
        (5, 6, "RuntimeError: the power is gone"),
        (7, 9, "finished"),  # the step after which a hook failed was complete, and is saved
    ]
    assert manifest()["started"] == sessions[0]["started"] and manifest()["ended"] == sessions[-1]["ended"]


def test_a_session_that_goes_on_or_was_killed_has_no_end(build, manifest):
    seen = []
    trainer = build()
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: seen.append(manifest()))])
    trainer.train()
    assert seen[0]["ended"] is None and "ended" not in seen[0]["sessions"][0]


@pytest.mark.parametrize("damage", ["{", "[]", '{"sessions": 3}'])
def test_a_damaged_manifest_is_begun_anew(build, manifest, tmp_path, damage):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text(damage)
    build().train()
    assert [session["reason"] for session in manifest()["sessions"]] == ["finished"]


def test_a_manifest_that_cannot_be_written_costs_no_run(build, tmp_path, caplog):
    (tmp_path / "run" / "manifest.json").mkdir(parents=True)
    trainer = build()
    trainer.train()
    assert trainer.iter == 10
    assert caplog.text.count("manifest.json could not be written") == 2


def test_other_data_are_told_on_a_resume(build, caplog, monkeypatch):
    build("SOLVER.MAX_ITER", 4).train()
    build().resume_or_load()
    assert "Other data than before" not in caplog.text
    monkeypatch.setattr("steploop.engine.run.manifest.fingerprint", lambda items: {"items": 39, "hash": "x"})
    build().resume_or_load()
    assert "Other data than before: {'items': 40" in caplog.text and "now {'items': 39" in caplog.text


def test_a_comparison_of_runs_leaves_the_manifest_out_and_nothing_else(tmp_path):
    for name in ("one", "other"):
        exact_runs.train(tmp_path / name)
    assert exact_runs.differences(tmp_path / "one", tmp_path / "other") == []
    path = tmp_path / "one" / "model_final.pth"
    checkpoint = read_checkpoint(path)
    assert checkpoint["manifest"]["config"]["OUTPUT_DIR"] == str(tmp_path / "one")
    checkpoint["iteration"] += 1
    torch.save(checkpoint, path)
    assert len(exact_runs.differences(tmp_path / "one", tmp_path / "other")) == 1


def test_a_fingerprint_tells_sets_apart_and_is_the_same_in_every_process():
    class Thing:
        pass

    items = [("a.jpg", 1, 0), ("b.jpg", 2, 1)]
    assert fingerprint(items) == fingerprint([("a.jpg", 1, 0), ("b.jpg", 2, 1)])
    others = [items[:1], items[::-1], [("a.jpg", 1, 0), ("b.jpg", 2, 2)], [*items, items[0]], [(*items[0], Thing())]]
    hashes = {fingerprint(each)["hash"] for each in [items, *others]}
    assert len(hashes) == 6
    assert fingerprint([Thing()]) == fingerprint([Thing()])
    assert fingerprint([{"x": torch.zeros(3)}]) == fingerprint([{"x": torch.ones(3)}])
    assert fingerprint([{"x": torch.zeros(3)}]) != fingerprint([{"x": torch.zeros(4)}])
    assert fingerprint(["\udcff.jpg"])["items"] == 1  # a file name that is no UTF-8
    assert fingerprint(None) is fingerprint({}.items) is None


def test_a_data_set_is_asked_for_its_fingerprint():
    records = SharedRecords([{"path": f"{number}.jpg"} for number in range(MAX_VALUES // 1000)])
    found = fingerprint(records)
    assert found == {"items": len(records), "hash": records.fingerprint()}
    assert fingerprint(RepeatDataset(records, 2))["items"] == 2 * len(records)
    # Without one, the items are looked at.
    assert fingerprint(RepeatDataset(["a"], 2)) == fingerprint(["a", "a"])


def test_a_fingerprint_looks_at_so_many_items_at_most():
    class Counts(list):
        looked = 0

        def __getitem__(self, index):
            Counts.looked += 1
            return super().__getitem__(index)

    fingerprint(Counts(range(3 * MAX_VALUES + 1)))
    assert MAX_VALUES // 2 < Counts.looked <= MAX_VALUES + 1
    Counts.looked = 0
    fingerprint(Counts([{"boxes": [[1, 2, 3, 4]] * 20}] * (MAX_VALUES // 20)))  # four times too many values
    assert MAX_VALUES // 100 < Counts.looked <= MAX_VALUES // 80 + 1


def test_where_a_run_writes_is_no_part_of_its_hash(tmp_path):
    assert config_hash(tiny_cfg("a")) == config_hash(tiny_cfg("b")) != config_hash(tiny_cfg("a", "SEED", 4))


def test_git_tells_the_commit_and_whether_files_differ(tmp_path, monkeypatch):
    def git(*args):
        who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", "-C", str(folder), *who, *args], check=True, capture_output=True)

    assert git_state(tmp_path) == {"commit": None, "dirty": None}
    folder = tmp_path / "checkout"
    folder.mkdir()
    git("init")
    (folder / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "first")
    clean = git_state(folder)
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    (folder / "file").write_text("b")
    git_state.cache_clear()
    assert git_state(folder) == {"commit": clean["commit"], "dirty": True}
    git_state.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    assert git_state(folder) == {"commit": None, "dirty": None}
    git_state.cache_clear()
