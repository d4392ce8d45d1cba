import pytest
import torch
from torch import nn

from steploop.engine import SimpleTrainer, hooks
from tiny import TinyLoader


class WithStatistics(nn.Module):
    """Has buffers, and returns NaN where the batch holds it."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.layer = nn.Linear(3, 1)

    def forward(self, batch):
        return {"loss": self.layer(self.norm(batch)).square().mean()}


class Poisoned(TinyLoader):
    def __init__(self, steps):
        super().__init__()
        self.bad = steps

    def __iter__(self):
        for batch in super().__iter__():
            yield batch * float("nan") if self.step in self.bad else batch


def train(bad, limit, max_iter=8):
    torch.manual_seed(0)
    model = WithStatistics()
    trainer = SimpleTrainer(model, Poisoned(bad), torch.optim.SGD(model.parameters(), lr=0.1), max_skipped_steps=limit)
    states = []
    trainer.register_hooks(
        [hooks.CallbackHook(after_step=lambda t: states.append({k: v.clone() for k, v in model.state_dict().items()}))]
    )
    trainer.train(0, max_iter)
    return trainer, states


def test_a_skipped_step_changes_neither_weights_nor_buffers():
    trainer, states = train({3, 4}, limit=2)
    for name in states[2]:
        assert torch.equal(states[2][name], states[4][name])
    assert all(torch.isfinite(value).all() for value in states[-1].values())
    assert not torch.equal(states[4]["layer.weight"], states[5]["layer.weight"])
    assert [value for value, _ in trainer.storage.history("skipped_step").values()] == [0, 0, 0, 1, 1, 0, 0, 0]


def test_too_many_in_a_row_end_the_run():
    with pytest.raises(FloatingPointError, match="3 steps in a row, up to iteration 5"):
        train({3, 4, 5}, limit=2)


def test_the_count_travels_with_the_state():
    trainer, _ = train({6, 7}, limit=2)
    model = WithStatistics()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    resumed = SimpleTrainer(model, Poisoned({8}), optimizer, max_skipped_steps=2)
    resumed.load_state_dict(trainer.state_dict())
    with pytest.raises(FloatingPointError, match="3 steps in a row"):
        resumed.train(8, 10)


def test_without_a_limit_the_loss_ends_the_run():
    with pytest.raises(FloatingPointError, match="iteration=3"):
        train({3}, limit=0)


def test_float16_leaves_it_to_its_scaler():
    model = WithStatistics()
    with pytest.raises(ValueError, match="float16"):
        SimpleTrainer(
            model, [], torch.optim.SGD(model.parameters(), lr=0.1), precision=torch.float16, max_skipped_steps=1
        )
