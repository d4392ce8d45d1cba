"""The learning rates of mmcv's runs: staircases by epoch, and a warm-up that is multiplied onto the schedule."""

import numpy as np
import pytest
import torch

from shared_files import shared
from steploop.config import get_cfg
from steploop.engine import build_lr_scheduler

COSINE = {"LR_SCHEDULER_NAME": "WarmupCosineLR", "WARMUP_MULTIPLIES": True}
# Epochs of the run, base rate, epochs (or iterations, for 5 and 12 in an epoch) of warm-up, and the settings.
RUNS = {
    "slowfast_4x16_cosine256_warm34": (256, 0.1, 34, {**COSINE, "LR_STAIRS": 256, "WARMUP_FACTOR": 0.1}),
    "slowonly_cosine64_warm10": (64, 0.01, 10, {**COSINE, "LR_STAIRS": 64, "WARMUP_FACTOR": 0.1}),
    "slowfast_steplr_94_154_196_warm34": (256, 0.1, 34, {"STEPS": (94, 154, 196), "WARMUP_FACTOR": 0.1}),
    "step20_40_no_warmup": (50, 0.01, 0, {"STEPS": (20, 40)}),
    "cosine_by_iter_warm_iters": (20, 0.2, {5: 16, 12: 37}, {**COSINE, "WARMUP_FACTOR": 0.25, "BASE_LR_END": 0.002}),
}


def rates(epochs, base, warmup, settings, per_epoch):
    cfg = get_cfg()
    for key, value in settings.items():
        cfg.SOLVER[key] = tuple(step * per_epoch for step in value) if key == "STEPS" else value
    cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER = base, epochs * per_epoch
    cfg.SOLVER.WARMUP_ITERS = warmup[per_epoch] if isinstance(warmup, dict) else warmup * per_epoch
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = build_lr_scheduler(cfg, optimizer)
    return np.array([base * scheduler.factor(step) for step in range(cfg.SOLVER.MAX_ITER)])


@pytest.mark.parametrize("per_epoch", [5, 12])
@pytest.mark.parametrize("name", RUNS)
def test_every_iteration_has_the_rate_of_mmcv(name, per_epoch):
    figures = np.load(shared("golden/action") / "schedules.npz")[f"{name}_ipe{per_epoch}"]
    assert rates(*RUNS[name], per_epoch) == pytest.approx(figures, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("method", ["constant", "exponential"])
def test_other_warm_ups_multiply_too(method):
    settings = {**COSINE, "WARMUP_METHOD": method, "WARMUP_FACTOR": 0.01}
    got, plain = rates(10, 1.0, 2, settings, 5), rates(10, 1.0, 0, COSINE, 5)
    assert got[0] == pytest.approx(0.01)
    assert got[10:] == pytest.approx(plain[10:])
    assert got[5] == pytest.approx(plain[5] * (0.01 if method == "constant" else 0.1))


def test_what_has_no_stairs_is_refused():
    with pytest.raises(ValueError, match="LR_STAIRS"):
        rates(10, 1.0, 0, {"LR_STAIRS": 5}, 5)
    with pytest.raises(ValueError, match="WARMUP_METHOD"):
        rates(10, 1.0, 1, {**COSINE, "WARMUP_METHOD": "sine"}, 5)
