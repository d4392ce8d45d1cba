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


def test_a_decay_outside_its_range():
    with pytest.raises(ValueError, match="0..1"):
        EMA(TinyModel(), 1.5)
