import sys
from pathlib import Path

import pytest
from PIL import Image

from steploop.config import get_cfg
from steploop.engine.cli import schedule
from steploop.engine.cli.schedule import build_course, format_table, read_config, turning_points

ROOT = Path(__file__).parents[3]
QUICKSTART = "projects/reid/configs/quickstart.yaml"
SCRIPT = "projects/reid/train_net.py"


@pytest.fixture
def command(monkeypatch, capsys):
    def command(*args):
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", ["schedule", *map(str, args)])
        schedule.main()
        return capsys.readouterr().out

    return command


def test_the_turning_points_of_a_projects_config(command):
    rows = [line.split() for line in command("--config-file", QUICKSTART, "--script", SCRIPT).splitlines()[:5]]
    assert rows[0] == ["iteration", "lr"]
    assert [row[0] for row in rows[2:]] == ["0", "40", "319"]
    assert float(rows[2][1]) == pytest.approx(3e-6) and float(rows[3][1]) == pytest.approx(0.00288582, rel=1e-4)


def test_without_the_project_only_the_solver_is_read(command):
    assert command("--config-file", QUICKSTART).splitlines()[4].split()[0] == "319"


def test_epochs_momentum_and_a_picture(command, tmp_path):
    text = command(
        *("--config-file", QUICKSTART, "--script", SCRIPT, "--iterations-per-epoch", "10", "--points", "1"),
        *("--png", tmp_path / "x.png", "SOLVER.MAX_ITER", "0", "SOLVER.MAX_EPOCH", "20", "SOLVER.WARMUP_ITERS", "0"),
        *("SOLVER.LR_SCHEDULER_NAME", "OneCycleLR", "SOLVER.MOMENTUM_SCHEDULE", "OneCycle"),
    )
    rows = [line.split() for line in text.splitlines()]
    assert rows[0] == ["iteration", "epoch", "lr", "momentum"]
    assert [row[0] for row in rows[2:6]] == ["0", "59", "99", "199"]
    assert rows[3] == ["59", "5.90", "0.003", "0.85"]
    assert "#" in text and text.endswith(f"drawn in {tmp_path / 'x.png'}\n")
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (800, 400)


def test_steps_are_turning_points_on_both_sides():
    cfg = get_cfg()
    cfg.SOLVER.update({"MAX_ITER": 100, "STEPS": (40, 100), "WARMUP_ITERS": 10})
    assert turning_points(cfg) == [0, 10, 39, 40, 99]


def test_the_course_is_that_of_a_weight_whatever_was_asked_before():
    cfg = get_cfg()
    cfg.SOLVER.update({"MAX_ITER": 100, "STEPS": (40,), "WARMUP_ITERS": 0, "BASE_LR": 0.5, "BIAS_LR_FACTOR": 2.0})
    course = build_course(cfg)
    assert [course(step).lr for step in (39, 40, 0)] == pytest.approx([0.5, 0.05, 0.5])
    assert course(0).momentum is None
    assert format_table([course(5)], 10.0).split("\n")[2].split() == ["5", "0.50", "0.5"]


@pytest.mark.parametrize(
    "args, message",
    [
        (["--script", "nothing.py"], "there is no training script 'nothing.py'"),
        (["--iterations-per-epoch", "0"], "expected a positive number, got 0"),
        (["SOLVER.MAX_EPOCH", "5"], "say how long one is (--iterations-per-epoch)"),
    ],
)
def test_wrong_arguments(command, capsys, args, message):
    with pytest.raises(SystemExit) as ended:
        command(*args)
    assert message in f"{ended.value} {capsys.readouterr().err}"


def test_an_unknown_key_names_its_line(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("MODEL:\n  ANYTHING: 1\nSOLVER:\n  BAS_LR: 0.1\n")
    with pytest.raises(KeyError, match=r"x.yaml:4: unknown key 'SOLVER.BAS_LR'; did you mean 'SOLVER.BASE_LR'"):
        read_config(str(file), [])
