import os
import subprocess
import sys
from pathlib import Path

import pytest

from steploop.engine import main
from steploop.engine.run.folder import let_go
from steploop.engine.run.logger import close_logger
from tiny_project import TinyTrainer

RUN = [
    *("MODEL.DEVICE", "cpu", "SEED", "3", "DATASETS.TRAIN", "('tiny',)", "DATASETS.TEST", "('tiny',)"),
    *("DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "4", "SOLVER.MAX_ITER", "4", "SOLVER.WARMUP_ITERS", "0"),
]
SCRIPT = '''
"""Trains the project's model."""
from steploop.engine import main
from tiny_project import TinyTrainer

class Trainer(TinyTrainer):
    def train(self):
        self.cfg.MINE
        return super().train()

def add_config(cfg):
    cfg.MINE = 1

if __name__ == "__main__":
    main(Trainer, add_config, description="Trains my model.")
'''


@pytest.fixture
def run(tmp_path):
    """Return a function that is a training script of one process in the folder `tmp_path`."""
    yield lambda *line: main(TinyTrainer, argv=[*line, *RUN, "OUTPUT_DIR", str(tmp_path)])
    close_logger()
    let_go(tmp_path)


def test_one_process_trains_and_evaluates(run, tmp_path, monkeypatch):
    run()
    assert (tmp_path / "model_final.pth").exists()
    evaluated = []
    monkeypatch.setattr(TinyTrainer, "evaluate", lambda self: evaluated.append(self.iter))
    monkeypatch.setattr(TinyTrainer, "train", lambda self: pytest.fail("it trains"))
    run("--eval-only", "--resume")
    assert evaluated == [3]


def test_a_wrong_key_is_one_line(run):
    with pytest.raises(SystemExit, match=r"error: .*NO_SUCH_KEY"):
        run("NO_SUCH_KEY", "1")


def test_a_script_of_two_processes_and_its_help(tmp_path):
    script = tmp_path / "train_net.py"
    script.write_text(SCRIPT)
    support = Path(__file__).parents[2] / "support"
    environment = os.environ | {"PYTHONPATH": str(support), "OMP_NUM_THREADS": "1"}

    def start(*line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, script, *line], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    done = start("--num-gpus", "2", *RUN, "OUTPUT_DIR", "run", "MINE", "2", "DATASETS.TEST", "()")
    assert done.returncode == 0, done.stderr
    assert "Rank of this process: 0 of 2" in (tmp_path / "run/log.txt").read_text()
    assert "MINE: 2" in (tmp_path / "run/config.yaml").read_text()
    help_text = start("--help").stdout
    assert "Trains my model." in help_text and "train_net.py --config-file" in help_text


def test_the_trainers_docstring_describes_the_script(capsys):
    class Described(TinyTrainer):
        """Trains what is described.

        The rest is not shown.
        """

    with pytest.raises(SystemExit):
        main(Described, argv=["--help"])
    printed = capsys.readouterr().out
    assert "Trains what is described." in printed and "not shown" not in printed
