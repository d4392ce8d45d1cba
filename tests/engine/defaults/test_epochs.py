import logging
from types import SimpleNamespace

import pytest

from steploop.config import get_cfg
from steploop.engine.defaults.epochs import epochs_to_iterations, iterations_per_epoch
from steploop.engine.defaults.rescale import rescale_for_world_size
from tiny_project import TinyTrainer, tiny_cfg


def config(**solver):
    cfg = get_cfg()
    cfg.SOLVER.update({"CHECKPOINT_PERIOD": 0, "STEPS": (), **solver})
    return cfg


@pytest.fixture
def log(caplog):
    """Collect what is logged, also where another test has set the project's logger up."""
    logger = logging.getLogger("steploop.engine.defaults.epochs")
    logger.addHandler(caplog.handler)
    with caplog.at_level("INFO", logger.name):
        yield caplog
    logger.removeHandler(caplog.handler)


def test_a_loader_that_knows_its_epoch():
    assert iterations_per_epoch(SimpleNamespace(epoch_length=40, batch_size=16)) == 2.5
    for unknowing in ([], SimpleNamespace(batch_size=4), SimpleNamespace(epoch_length=0, batch_size=4)):
        assert iterations_per_epoch(unknowing) is None


def test_everything_in_epochs_becomes_iterations(log):
    cfg = config(
        MAX_EPOCH=120, STEPS=(40, 90), CHECKPOINT_PERIOD=30, WARMUP_EPOCHS=0.5, DELAY_EPOCHS=30.0, WARMUP_ITERS=0
    )
    cfg.TEST.EVAL_PERIOD, cfg.TEST.LOSS_PERIOD = 10, 1
    cfg.SOLVER.SAVE_POINTS = (20, 40)
    cfg.freeze()
    after = epochs_to_iterations(cfg, 187.5)
    solver = after.SOLVER
    assert (solver.MAX_ITER, solver.STEPS, solver.WARMUP_ITERS, solver.DELAY_ITERS) == (22500, (7500, 16875), 94, 5625)
    assert solver.SAVE_POINTS == (3750, 7500)
    assert (solver.CHECKPOINT_PERIOD, after.TEST.EVAL_PERIOD, after.TEST.LOSS_PERIOD) == (5625, 1875, 188)
    assert (solver.MAX_EPOCH, solver.WARMUP_EPOCHS, solver.DELAY_EPOCHS) == (0, 0.0, 0.0)
    assert after.is_frozen() and cfg.SOLVER.MAX_EPOCH == 120
    assert epochs_to_iterations(after, 187.5) is after
    assert "One epoch is 187.5 iterations" in log.text
    assert "MAX_EPOCH 120 is MAX_ITER 22500, WARMUP_EPOCHS 0.5 is WARMUP_ITERS 94" in log.text


def test_without_max_epoch_steps_and_periods_are_iterations():
    cfg = config(WARMUP_EPOCHS=2.0, STEPS=(40,), CHECKPOINT_PERIOD=30)
    solver = epochs_to_iterations(cfg, 10.0).SOLVER
    assert (solver.WARMUP_ITERS, solver.STEPS, solver.CHECKPOINT_PERIOD, solver.MAX_ITER) == (20, (40,), 30, 40000)


@pytest.mark.parametrize("per_epoch", [None, 10.0])
def test_nothing_in_epochs(per_epoch):
    cfg = config()
    assert epochs_to_iterations(cfg, per_epoch) is cfg


def test_never_stays_never_and_little_becomes_one():
    after = epochs_to_iterations(config(MAX_EPOCH=2, STEPS=(1,)), 0.3)
    assert (after.SOLVER.MAX_ITER, after.SOLVER.STEPS) == (1, (1,))
    assert (after.SOLVER.CHECKPOINT_PERIOD, after.TEST.EVAL_PERIOD) == (0, 0)


def test_a_period_longer_than_the_run_is_reported(log):
    epochs_to_iterations(config(MAX_EPOCH=120, CHECKPOINT_PERIOD=5000), 10.0)
    assert "SOLVER.CHECKPOINT_PERIOD is 5000 epochs, more than the run has" in log.text
    assert "EVAL_PERIOD" not in log.text


@pytest.mark.parametrize(
    "solver, message",
    [
        ({"MAX_EPOCH": 5, "MAX_ITER": 100}, r"MAX_EPOCH \(5\) and SOLVER.MAX_ITER \(100\) say the same thing twice"),
        ({"WARMUP_EPOCHS": 0.5, "WARMUP_ITERS": 7}, r"SOLVER.WARMUP_EPOCHS \(0.5\) and SOLVER.WARMUP_ITERS \(7\)"),
        ({"DELAY_EPOCHS": 3.0, "DELAY_ITERS": 7}, "set SOLVER.DELAY_EPOCHS to 0 to count iterations"),
        ({"MAX_EPOCH": -1}, "SOLVER.MAX_EPOCH is a number of epochs, or 0 for none; got -1"),
    ],
)
def test_wrong_settings(solver, message):
    with pytest.raises(ValueError, match=message):
        epochs_to_iterations(config(**solver), 10.0)


def test_a_loader_that_does_not_know_its_epoch_is_an_error():
    with pytest.raises(ValueError, match="MAX_EPOCH, SOLVER.DELAY_EPOCHS count epochs, .* set SOLVER.MAX_ITER, "):
        epochs_to_iterations(config(MAX_EPOCH=5, DELAY_EPOCHS=1.0), None)


def test_another_number_of_processes_leaves_epochs_alone():
    cfg = config(MAX_EPOCH=10, STEPS=(4,), DELAY_EPOCHS=1.0, REFERENCE_WORLD_SIZE=8)
    after = rescale_for_world_size(cfg, 4).SOLVER
    assert (after.MAX_EPOCH, after.STEPS, after.MAX_ITER, after.WARMUP_ITERS) == (10, (4,), 40000, 2000)
    epochs_to_iterations(rescale_for_world_size(cfg, 4), 10.0)  # nothing is said twice by the rescaling


# 40 samples in batches of 4: ten iterations an epoch.
OVERRIDES = ("SOLVER.MAX_EPOCH", 2, "SOLVER.MAX_ITER", 0, "SOLVER.CHECKPOINT_PERIOD", 1, "TEST.EVAL_PERIOD", 1)


def build(folder, *overrides):
    cfg = tiny_cfg(folder, *OVERRIDES, *overrides)
    cfg.freeze()
    return TinyTrainer(cfg)


def test_a_run_in_epochs_is_resumed_as_one(tmp_path, log):
    trainer = build(tmp_path, "SOLVER.STEPS", "(1,)")
    assert (trainer.max_iter, trainer.cfg.SOLVER.STEPS) == (20, (10,))
    trainer.train()
    assert {path.name for path in tmp_path.glob("*.pth")} == {"model_0000009.pth", "model_final.pth"}
    assert trainer.storage.history("lr").values()[9:11] == [(0.001, 9), (pytest.approx(0.0001), 10)]
    assert "One epoch is 10 iterations" in log.text
    longer = build(tmp_path, "SOLVER.MAX_EPOCH", 3)
    longer.resume_or_load()
    assert (longer.start_iter, longer.max_iter) == (20, 30)


def test_the_epoch_is_written_beside_the_iteration(tmp_path):
    trainer = build(tmp_path, "LOG_PERIOD", 8)
    trainer.train()
    assert trainer.storage.history("epoch").values() == [(0.8, 7), (1.6, 15), (2.0, 19)]
    lines = (tmp_path / "metrics.json").read_text().splitlines()
    assert ['"epoch": 0.8' in lines[0], '"epoch": 1.6' in lines[1], '"epoch": 2.0' in lines[2]] == [True] * 3
