import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from exact_runs import differences
from steploop.engine import Checkpointer, JSONWriter, PeriodicCheckpointer, PeriodicWriter, hooks
from steploop.engine.run.seeding import seed_all_rng
from steploop.projects.gan.points import CORNERS, draw, measure, ring
from steploop.projects.gan.trainer import GanTrainer, mlp

ROOT = Path(__file__).parents[3]


def train(folder, stop=None, max_iter=30):
    """Train in `folder` from its last checkpoint on, up to a stop."""
    folder.mkdir(exist_ok=True)
    seed_all_rng(1)
    model = nn.ModuleDict({"generator": mlp(2, 2), "discriminator": mlp(2, 1)})
    trainer = GanTrainer(model, batch_size=32, seed=1)
    checkpointer = Checkpointer(model, folder, trainer=trainer)
    trainer.register_hooks(
        [
            PeriodicWriter([JSONWriter(folder / "metrics.json")], 4),
            PeriodicCheckpointer(checkpointer, 10),
            hooks.CallbackHook(after_step=lambda t: t.iter == stop and t.request_stop("enough")),
        ]
    )
    checkpointer.resume_or_load("")
    trainer.train(trainer.iter + 1 if checkpointer.resumed_from else 0, max_iter)
    return trainer


def test_a_resumed_run_ends_in_the_same_bits(tmp_path):
    train(tmp_path / "whole")
    for stop in (5, 17, None):
        train(tmp_path / "run", stop)
    for name in ("model_0000005.pth", "model_0000017.pth"):
        (tmp_path / "run" / name).unlink()
    assert differences(tmp_path / "run", tmp_path / "whole") == []


def test_both_learn_with_their_own_optimizer(tmp_path):
    trainer = train(tmp_path, max_iter=1)
    counts = {name: {int(s["step"]) for s in o.state.values()} for name, o in trainer.optimizers.items()}
    assert counts == {"generator": {1}, "discriminator": {1}}
    assert {"total_loss", "loss_generator", "loss_discriminator"} <= trainer.storage.latest().keys()


def test_the_command(tmp_path):
    """In 300 steps all corners are found."""
    command = ["projects/gan/train_net.py", "--work-dir", str(tmp_path), "SEED", "1", "SOLVER.MAX_ITER", "300"]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert lines[-1]["near"] > 30 and lines[-1]["rarest"] > 1
    picture = Image.open(tmp_path / "samples.png")
    assert picture.size == (300, 300) and picture.getextrema() == (0, 255)


def test_points(tmp_path):
    torch.manual_seed(0)
    assert measure(ring(4000))["near"] > 99
    assert measure(CORNERS) == pytest.approx({"near": 100.0, "rarest": 12.5})
    assert measure(torch.zeros(4, 2)) == {"near": 0.0, "rarest": 0.0}
    draw(torch.tensor([[0.0, 1.0], [5.0, 5.0]]), tmp_path / "points.png", size=6)
    picture = torch.from_numpy(np.array(Image.open(tmp_path / "points.png")))
    assert (picture < 255).nonzero().tolist() == [[0, 5], [1, 3]]  # up is up, and what is outside is at the border
