"""Schedules, groups and balanced data sets, beside MMDetection's."""

import pytest
import torch

from detection_golden import close, figures
from steploop.config import get_cfg
from steploop.data import ClassBalancedDataset, GroupSampler
from steploop.engine import build_lr_scheduler


def test_schedule_1x():
    # The other recorded length, 40, has its steps inside of the warm-up, which ours leads to the rate after it.
    length = 700
    gold = figures("data")[f"lr_1x_ipe{length}"]
    cfg = get_cfg()
    solver = cfg.SOLVER
    solver.MAX_ITER, solver.STEPS, solver.GAMMA = 12 * length, (8 * length, 11 * length), 0.1
    solver.WARMUP_ITERS, solver.WARMUP_FACTOR, solver.WARMUP_METHOD, solver.BASE_LR = 500, 0.001, "linear", 0.02
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.02)
    scheduler = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(12 * length):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    close(rates, gold, 1e-6)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_length_and_purity_of_groups(batch):
    gold = figures("data")
    flags = gold["sampler_flags"]
    sampler = GroupSampler(flags, batch)
    assert sampler.epoch_length == gold[f"group_len_spg{batch}"]
    order = sampler.order(0)
    assert set(order.tolist()) == set(range(len(flags)))
    assert all(len(set(flags[order[i : i + batch]].tolist())) == 1 for i in range(0, len(order), batch))


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.6])
def test_balanced(threshold):
    gold = figures("data")
    labels = [tuple(row.nonzero()[0].tolist()) for row in gold["balanced_has_category"]]
    balanced = ClassBalancedDataset(list(range(len(labels))), labels, threshold)
    assert list(balanced) == gold[f"balanced_thr{threshold}_indices"].tolist()
