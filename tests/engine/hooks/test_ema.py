import pytest
import torch
from torch import nn

from steploop.engine import EMA
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
