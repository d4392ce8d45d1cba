import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from steploop.engine import default_setup as prepare
from steploop.engine import setup_config
from steploop.engine.run.folder import let_go
from steploop.engine.run.logger import close_logger
from steploop.engine.run.start import begin
from tiny_project import tiny_args, tiny_cfg


def default_setup(cfg, args):
    """Prepare a run and begin it, as a script that trains does."""
    prepare(cfg, args)
    begin()


@pytest.fixture(autouse=True)
def _ended_run(tmp_path):
    yield
    close_logger()
    for folder in (tmp_path, *tmp_path.iterdir()):
        let_go(folder)


def test_what_was_left_open_is_filled_in(tmp_path):
    path = tmp_path / "my_run.yaml"
    path.write_text("SOLVER:\n  MAX_ITER: 7\n")
    cfg = setup_config(tiny_args(config_file=str(path), opts=["SOLVER.BASE_LR", "1"]))
    assert cfg.OUTPUT_DIR == "output/my_run"
    assert cfg.MODEL.DEVICE in ("cpu", "cuda")
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.BASE_LR) == (7, 1.0)
    assert cfg.is_frozen()


def test_print_config_prints_and_ends(capsys):
    with pytest.raises(SystemExit) as ended:
        setup_config(tiny_args(print_config=True, opts=["SEED", "5"]))
    assert ended.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["SEED"] == 5


def test_a_projects_keys_are_added_before_the_file_is_read(tmp_path):
    def add(cfg):
        cfg.MINE = 1

    assert setup_config(tiny_args(opts=["MINE", "2"]), add).MINE == 2


def test_the_folder_holds_config_log_and_manifest(tmp_path):
    default_setup(tiny_cfg(tmp_path), tiny_args())
    assert {".lock", "config.yaml", "log.txt", "manifest.json"} == {path.name for path in tmp_path.iterdir()}
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["SEED"] == 3
    log = (tmp_path / "log.txt").read_text()
    assert "Rank of this process: 0 of 1" in log and "Environment" in log


def test_the_seed_decides_what_is_drawn(tmp_path):
    draws = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        default_setup(tiny_cfg(tmp_path / name, "SEED", seed), tiny_args())
        draws.append(torch.rand(1).item())
    assert draws[0] == draws[1] != draws[2]


def test_an_open_seed_is_drawn_once_and_kept_over_a_resume(tmp_path):
    seeds = []
    for resume in (False, True, False):
        cfg = tiny_cfg(tmp_path, "SEED", -1)
        cfg.freeze()
        default_setup(cfg, tiny_args(resume=resume))
        (tmp_path / "last_checkpoint").write_text("model_final.pth")
        seeds.append(cfg.SEED)
        assert cfg.is_frozen()
    assert seeds[0] == seeds[1] >= 0
    assert seeds[2] != seeds[0]


def test_an_earlier_run_is_moved_aside_with_a_line_in_the_log(tmp_path):
    default_setup(tiny_cfg(tmp_path), tiny_args())
    (tmp_path / "metrics.json").write_text("old")
    default_setup(tiny_cfg(tmp_path), tiny_args())
    (moved,) = (tmp_path / "previous").iterdir()
    assert (moved / "metrics.json").read_text() == "old"
    assert f"earlier run, which is now in {moved}" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize("how", ["resume", "eval_only"])
def test_resuming_and_evaluating_leave_the_folder_as_it_is(tmp_path, how):
    default_setup(tiny_cfg(tmp_path), tiny_args())
    (tmp_path / "metrics.json").write_text("old")
    (tmp_path / "last_checkpoint").write_text("model_final.pth")
    default_setup(tiny_cfg(tmp_path, "MODEL.WEIGHTS", "any.pth"), tiny_args(**{how: True}))
    assert (tmp_path / "metrics.json").read_text() == "old"
    assert not (tmp_path / "previous").exists()


def test_resuming_what_never_had_a_checkpoint_starts_anew(tmp_path):
    default_setup(tiny_cfg(tmp_path), tiny_args())
    (tmp_path / "metrics.json").write_text("old")
    default_setup(tiny_cfg(tmp_path), tiny_args(resume=True))
    assert not (tmp_path / "metrics.json").exists()
    assert "it had no checkpoint to resume from" in (tmp_path / "log.txt").read_text()


def test_what_changed_in_the_config_is_told_on_resume(tmp_path):
    default_setup(tiny_cfg(tmp_path), tiny_args())
    (tmp_path / "last_checkpoint").write_text("model_final.pth")
    default_setup(tiny_cfg(tmp_path, "SOLVER.BASE_LR", 0.25), tiny_args(resume=True))
    log = (tmp_path / "log.txt").read_text().split("Changed in the config since:")[1].split("Config, where")[0]
    assert "SOLVER.BASE_LR" in log and "0.001" in log and "0.25" in log
    assert "MAX_ITER" not in log


@pytest.mark.parametrize("name", ["TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"])
def test_a_restart_by_a_scheduler_resumes(monkeypatch, name):
    monkeypatch.setenv(name, "0")
    args = tiny_args()
    setup_config(args)
    assert not args.resume
    monkeypatch.setenv(name, "1")
    setup_config(args)
    assert args.resume


def test_a_second_process_in_the_folder_is_told_of_the_first(tmp_path):
    default_setup(tiny_cfg(tmp_path), tiny_args())
    code = (
        "from tiny_project import tiny_cfg, tiny_args; from steploop.engine import default_setup; "
        f"default_setup(tiny_cfg({str(tmp_path)!r}), tiny_args())"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "support")}
    second = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert second.returncode != 0
    assert f"pid {os.getpid()}" in second.stderr
    assert not (tmp_path / "previous").exists()


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_that_is_refused_changes_nothing_of_the_older_one(tmp_path, resume):
    default_setup(tiny_cfg(tmp_path), tiny_args())
    (tmp_path / "last_checkpoint").write_text("model_final.pth")
    close_logger()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != ".lock"}
    prepare(tiny_cfg(tmp_path, "SOLVER.BASE_LR", 0.25), tiny_args(resume=resume))
    logging.getLogger("steploop").info("a line of the refused run")
    close_logger()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != ".lock"} == before


def test_the_log_has_the_lines_from_before_the_beginning(tmp_path):
    prepare(tiny_cfg(tmp_path), tiny_args())
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}
    begin()
    begin()  # a second time, it is nothing
    assert "Rank of this process: 0 of 1" in (tmp_path / "log.txt").read_text()


def test_nothing_is_configured_before_it_is_called():
    assert not logging.getLogger("steploop").handlers
