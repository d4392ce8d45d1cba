import pytest
import torch
from torch import nn

from steploop.engine import EMA, Checkpointer
from tiny import TinyModel, tiny_trainer


def test_the_average_follows_the_formula():
    trainer = tiny_trainer(lr=0.1)
    expected = trainer.model.layer.weight.detach().clone().double()
    ema = EMA(trainer.model, 0.8)

    class Follow(EMA):
        def after_step(self):
            nonlocal expected
            expected = 0.8 * expected + 0.2 * self._model.layer.weight.detach().double()

    trainer.register_hooks([ema, Follow(trainer.model)])
    trainer.train(0, 5)
    torch.testing.assert_close(ema.state_dict()["layer.weight"].double(), expected, atol=1e-7, rtol=0)


def test_the_models_own_weights_come_back_after_an_exception():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    trainer = tiny_trainer(model=TinyModel())
    ema = EMA(model, 0.5)
    trainer.register_hooks([ema])
    trainer.train(0, 1)
    with torch.no_grad():
        model[0].weight.fill_(3.0)
    model[1].num_batches_tracked.fill_(7)
    with pytest.raises(RuntimeError), ema.applied():
        assert model[0].weight.max() < 3.0
        assert model[1].num_batches_tracked == 7, "what is no parameter is not averaged"
        raise RuntimeError
    assert model[0].weight.eq(3.0).all()


def test_a_weight_that_two_modules_share_is_averaged_under_both_names():
    class Tied(TinyModel):
        def __init__(self):
            super().__init__()
            self.twin = self.layer

    trainer = tiny_trainer(lr=0.1, model=Tied())
    first = trainer.model.layer.weight.detach().clone()
    ema = EMA(trainer.model, 0.5)
    trainer.register_hooks([ema])
    trainer.train(0, 1)
    own = trainer.model.layer.weight.detach().clone()
    with ema.applied():
        torch.testing.assert_close(trainer.model.layer.weight.detach(), (first + own) / 2)
    assert torch.equal(trainer.model.layer.weight, own)


def test_averages_of_another_model_are_taken_over_where_they_fit():
    saved = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3)).state_dict()
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 5), nn.Linear(5, 1))
    ema = EMA(model)
    ema.load_state_dict(saved)
    own = model.state_dict()
    assert ema.state_dict().keys() == own.keys()
    for name, average in ema.state_dict().items():
        assert torch.equal(average, saved[name] if name.startswith("0.") else own[name])


def test_a_decay_outside_its_range():
    with pytest.raises(ValueError, match="0..1"):
        EMA(TinyModel(), 1.5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_average_of_low_precision_weights_moves(dtype):
    class Steady(TinyModel):
        def forward(self, batch):
            return {"loss": -sum(parameter.float().sum() for parameter in self.parameters())}

    model = Steady().to(dtype)
    trainer = tiny_trainer(lr=0.01, model=model)
    start = model.layer.weight.detach().double()
    expected = start.clone()
    ema = EMA(model, 0.9999)

    class Follow(EMA):
        def after_step(self):
            expected.lerp_(self._model.layer.weight.detach().double(), 1e-4)

    trainer.register_hooks([ema, Follow(model)])
    trainer.train(0, 300)
    moved = (ema.state_dict()["layer.weight"].double() - start).mean().item()
    assert moved == pytest.approx((expected - start).mean().item(), rel=0.02)
    resumed = EMA(model, 0.9999)
    resumed.load_state_dict(ema.state_dict())
    assert torch.equal(resumed.state_dict()["layer.weight"], ema.state_dict()["layer.weight"])
    with ema.applied():
        assert model.layer.weight.dtype == dtype


class Extra(TinyModel):
    """Has an extra state, and an integer that is no buffer of floating point."""

    def __init__(self, state):
        super().__init__()
        self.state = state
        self.register_buffer("count", torch.tensor(0))

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        self.state = state


@pytest.mark.parametrize("state", [{"seen": 3}, 3, torch.ones(2), None, b"abc", b"", [torch.ones(1), "x"]])
def test_extra_states_are_the_models_own(state, tmp_path):
    trainer = tiny_trainer(model=Extra(state))
    ema = EMA(trainer.model, 0.5)
    trainer.register_hooks([ema])
    trainer.train(0, 2)
    with ema.applied():
        assert trainer.model.state is state
    checkpointer = Checkpointer(trainer.model, tmp_path, trainer=trainer)
    checkpointer.save("model", iteration=1)
    again = tiny_trainer(model=Extra("before"))
    other = EMA(again.model, 0.5)
    again.register_hooks([other])
    Checkpointer(again.model, tmp_path, trainer=again).resume_or_load("")
    assert type(again.model.state) is type(state) and str(again.model.state) == str(state)
    assert torch.equal(other.state_dict()["layer.weight"], ema.state_dict()["layer.weight"])


def test_a_model_that_saves_its_weights_by_other_names():
    class Renamed(TinyModel):
        def __init__(self):
            super().__init__()
            self._register_state_dict_hook(lambda module, state, prefix, metadata: self.rename(state))

        @staticmethod
        def rename(state):
            for name in list(state):
                state["old." + name] = state.pop(name)
            return state

    trainer = tiny_trainer(lr=0.1, model=Renamed())
    first = trainer.model.layer.weight.detach().clone()
    ema = EMA(trainer.model, 0.5)
    trainer.register_hooks([ema])
    trainer.train(0, 1)
    average = (first + trainer.model.layer.weight.detach()) / 2
    state = ema.state_dict()
    torch.testing.assert_close(state["old.layer.weight"], average)
    torch.testing.assert_close(state["layer.weight"], average)
