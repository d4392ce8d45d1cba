import pytest

from steploop.config import get_cfg
from steploop.engine.cli.flags import shorten
from steploop.engine.defaults.rescale import rescale_for_world_size


def cfg(reference):
    cfg = get_cfg()
    cfg.SOLVER.REFERENCE_WORLD_SIZE = reference
    cfg.SOLVER.IMS_PER_BATCH = 16
    cfg.SOLVER.BASE_LR = 0.1
    cfg.SOLVER.MAX_ITER = 100
    cfg.SOLVER.STEPS = (50, 81)
    cfg.TEST.EVAL_PERIOD = 10
    cfg.freeze()
    return cfg


def test_the_linear_rule():
    before = cfg(8)
    after = rescale_for_world_size(before, 4)
    assert (after.SOLVER.IMS_PER_BATCH, after.SOLVER.BASE_LR, after.SOLVER.MAX_ITER) == (8, 0.05, 200)
    assert (after.SOLVER.STEPS, after.TEST.EVAL_PERIOD, after.SOLVER.REFERENCE_WORLD_SIZE) == ((100, 162), 20, 4)
    assert after.is_frozen() and before.SOLVER.MAX_ITER == 100


@pytest.mark.parametrize("reference", [0, 4])
def test_nothing_to_do(reference):
    before = cfg(reference)
    assert rescale_for_world_size(before, 4) is before


def test_a_batch_that_the_reference_does_not_divide():
    with pytest.raises(ValueError, match="divisible"):
        rescale_for_world_size(cfg(3), 2)


def test_what_is_not_0_does_not_become_0():
    before = cfg(1).clone()
    before.defrost()
    before.TEST.EVAL_PERIOD, before.TEST.LOSS_PERIOD, before.SOLVER.MAX_ITER = 3, 0, 5
    after = rescale_for_world_size(before, 16)
    assert (after.TEST.EVAL_PERIOD, after.TEST.LOSS_PERIOD, after.SOLVER.MAX_ITER) == (1, 0, 1)


def test_a_trial_keeps_its_length_and_gets_the_batch_of_this_machine():
    before = cfg(8).clone()
    before.defrost()
    shorten(before, 5)
    after = rescale_for_world_size(before, 1)
    assert (after.SOLVER.MAX_ITER, after.SOLVER.IMS_PER_BATCH) == (5, 2)
