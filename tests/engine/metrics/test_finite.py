"""What is not finite is found in time, and never becomes a checkpoint."""

import pytest
import torch
from torch import nn

from steploop.engine import Checkpointer, NonFiniteLoss, NonFiniteWeights, hooks
from steploop.engine.metrics.finite import require_finite_weights
from tiny import TinyModel, tiny_trainer


class Poisoned(TinyModel):
    """The loss stays finite; at one call the gradient is NaN, or infinite."""

    def __init__(self, at, kind):
        super().__init__()
        self.calls, self.at, self.kind = 0, at, kind

    def forward(self, batch):
        losses = super().forward(batch)
        self.calls += 1
        if self.calls - 1 == self.at:
            zero = (self.layer.bias * 0).square().sum()
            losses["loss"] = losses["loss"] + (
                zero.sqrt() if self.kind == "nan" else _Slope.apply(self.layer.bias.sum())
            )
        return losses


class _Slope(torch.autograd.Function):
    """Returns 0, with an infinite gradient."""

    @staticmethod
    def forward(ctx, value):
        return value * 0

    @staticmethod
    def backward(ctx, grad):
        return grad * float("inf")


@pytest.mark.parametrize("where", [5, 9])
def test_weights_that_became_nan_are_no_checkpoint(tmp_path, where):
    trainer = tiny_trainer(model=Poisoned(where, "nan"), gather_metric_period=100)
    checkpointer = Checkpointer(trainer.model, tmp_path, trainer=trainer)
    trainer.register_hooks([hooks.PeriodicCheckpointer(checkpointer, 2, max_to_keep=1)])
    with pytest.raises(NonFiniteLoss) as failed:
        trainer.train(0, 10)
    assert isinstance(failed.value, NonFiniteWeights) and failed.value.names == ["layer.bias"]
    (kept,) = tmp_path.glob("*.pth")
    assert kept.name == f"model_{where - 2 if where % 2 else where - 1:07d}.pth"
    assert all(torch.isfinite(v).all() for v in torch.load(kept, weights_only=True)["model"].values())


def test_every_reading_looks_at_the_weights():
    trainer = tiny_trainer(model=Poisoned(7, "nan"), gather_metric_period=4)
    with pytest.raises(NonFiniteWeights, match="up to iteration=7, with finite losses: layer.bias"):
        trainer.train(0, 100)


@pytest.mark.parametrize("kind", ["norm", "value"])
def test_clipping_does_not_hide_an_infinite_gradient(kind):
    trainer = tiny_trainer(model=Poisoned(2, "inf"), gather_metric_period=4)
    trainer.register_hooks([hooks.GradientClipping(1.0, kind)])
    with pytest.raises(NonFiniteLoss, match="iteration=2"):
        trainer.train(0, 8)


@pytest.mark.parametrize("kind", ["norm", "value"])
def test_a_step_is_skipped_before_its_gradient_is_clipped(kind):
    trainer = tiny_trainer(model=Poisoned(2, "inf"), gather_metric_period=4, max_skipped_steps=1)
    trainer.register_hooks([hooks.GradientClipping(1.0, kind)])
    trainer.train(0, 8)
    assert [step for skipped, step in trainer.storage.history("skipped_step").values() if skipped] == [2]


def test_a_long_period_still_names_the_first_bad_step():
    trainer = tiny_trainer(gather_metric_period=5000)

    def poison(trainer):
        if trainer.iter == 40:
            trainer.model.layer.weight.data.fill_(float("nan"))

    trainer.register_hooks([hooks.CallbackHook(before_step=poison)])
    with pytest.raises(NonFiniteLoss) as failed:
        trainer.train(0, 4000)
    assert failed.value.iteration == 40
    assert trainer.iter < 1100


def test_large_weights_and_masks_are_finite():
    model = nn.Linear(2, 2)
    model.weight.data.fill_(3e38)
    model.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    model.register_buffer("count", torch.tensor(3))
    require_finite_weights(model, 0)
    model.mask[0] = float("nan")
    with pytest.raises(NonFiniteWeights, match="mask"):
        require_finite_weights(model, 0)


def test_the_weights_are_looked_at_once_in_a_step(tmp_path, monkeypatch):
    looks = []
    monkeypatch.setattr("steploop.engine.simple_trainer.require_finite_weights", lambda model, step: looks.append(step))
    trainer = tiny_trainer(gather_metric_period=5)
    checkpointer = Checkpointer(trainer.model, tmp_path, trainer=trainer)
    trainer.register_hooks([hooks.PeriodicCheckpointer(checkpointer, 5)])
    trainer.train(0, 10)
    assert looks == [4, 9]
