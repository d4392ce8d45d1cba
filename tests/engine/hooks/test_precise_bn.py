from types import SimpleNamespace

import pytest
import torch
from torch import nn

from exact_runs import EVALUATED, differences, train
from steploop.config import get_cfg
from steploop.engine import PreciseBN, hooks
from steploop.engine.defaults import hooks as default_hooks
from tiny import TinyLoader, tiny_trainer


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop, self.norm, self.layer = nn.Dropout(0.0), nn.BatchNorm1d(3), nn.Linear(3, 1)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, batch):
        self.calls += 1
        torch.rand(1)
        return self.layer(self.drop(self.norm(batch))).square().mean()


def trained(period=0, steps=4, loader=None, num_iter=5, with_hook=True):
    torch.manual_seed(2)
    trainer = tiny_trainer(model=Model())
    if with_hook:
        trainer.register_hooks([PreciseBN(period, trainer.model, loader or TinyLoader(), num_iter)])
    trainer.train(0, steps)
    return trainer


def test_the_statistics_are_those_of_the_batches_that_follow():
    model = trained().model
    rows = torch.cat([torch.randn(4, 3, generator=torch.Generator().manual_seed(step)) for step in range(4, 9)])
    torch.testing.assert_close(model.norm.running_mean, rows.mean(0))
    torch.testing.assert_close(model.norm.running_var, rows.var(0, unbiased=False))


def test_a_loader_that_cannot_be_entered_gives_its_first_batches():
    batches = [torch.full((2, 3), float(number)) + torch.eye(2, 3) for number in range(4)]
    model = trained(loader=batches, num_iter=4).model
    torch.testing.assert_close(model.norm.running_mean, torch.cat(batches).mean(0))
    with pytest.raises(AssertionError, match="stops at"):
        trained(loader=batches)


def test_the_training_notices_nothing():
    one, other = trained(period=1), trained(with_hook=False)
    changed = {"norm.running_mean", "norm.running_var"}
    state, plain = one.model.state_dict(), other.model.state_dict()
    assert {name for name in state if not torch.equal(state[name], plain[name])} == changed
    assert one.storage.history("total_loss").values() == other.storage.history("total_loss").values()
    assert one.model.norm.momentum == 0.1


def test_the_tensors_stay_the_same_objects():
    trainer = tiny_trainer(model=Model())
    before = trainer.model.norm.running_mean
    trainer.register_hooks([PreciseBN(1, trainer.model, TinyLoader(), 2)])
    trainer.train(0, 2)
    assert trainer.model.norm.running_mean is before


@pytest.mark.parametrize("period, steps, at", [(0, 4, [3]), (2, 5, [1, 3, 4])])
def test_when_it_computes(period, steps, at):
    loader = TinyLoader()
    trained(period=period, steps=steps, loader=loader, num_iter=1)
    assert loader.drawn == [step + 1 for step in at]


def test_momentum_comes_back_after_an_error():
    def batches():
        yield torch.zeros(2, 3)
        raise OSError("no such file")

    trainer = tiny_trainer(model=Model())
    trainer.register_hooks([PreciseBN(1, trainer.model, batches(), 2)])
    with pytest.raises(OSError, match="no such file"):
        trainer.train(0, 1)
    assert trainer.model.norm.momentum == 0.1


def test_without_batch_normalisation_it_says_so(caplog):
    trainer = tiny_trainer()
    trainer.register_hooks([PreciseBN(1, trainer.model, TinyLoader(), 2)])
    trainer.train(0, 1)
    assert "PreciseBN does nothing" in caplog.text
    with pytest.raises(ValueError, match="at least one batch"):
        PreciseBN(1, trainer.model, TinyLoader(), 0)


def test_what_is_evaluated_has_them():
    trainer = tiny_trainer(model=Model())
    seen = []
    trainer.register_hooks(
        [
            PreciseBN(2, trainer.model, [torch.full((2, 3), 7.0)], 1),
            hooks.EvalHook(2, lambda: seen.append(trainer.model.norm.running_mean.tolist()), eval_after_train=False),
        ]
    )
    trainer.train(0, 2)
    assert seen == [[7.0] * 3]


PRECISE = (*EVALUATED, "TEST.PRECISE_BN.ENABLED", True, "TEST.PRECISE_BN.NUM_ITER", 3, "DATALOADER.NUM_WORKERS", 1)


def test_the_config_turns_it_on_and_a_resumed_run_ends_in_the_same_bits(tmp_path):
    whole = train(tmp_path / "whole", *PRECISE)
    for kill in (("before_step", 4), ("saved", 8)):
        train(tmp_path / "run", *PRECISE, kill=kill)
    train(tmp_path / "run", *PRECISE)
    assert differences(tmp_path / "run", tmp_path / "whole") == []
    state, plain = whole.model.state_dict(), train(tmp_path / "plain", *EVALUATED).model.state_dict()
    assert {name.split(".")[-1] for name in state if not torch.equal(state[name], plain[name])} == {
        "running_mean",
        "running_var",
    }


def test_the_loaders_workers_end_with_each_computation():
    class Closing(TinyLoader):
        closed = 0

        def close(self):
            self.closed += 1

    loader = Closing()
    trained(period=2, loader=loader)
    assert loader.closed == 2


def test_its_loader_keeps_no_second_cache(monkeypatch):
    cfg = get_cfg()
    cfg.DATALOADER.CACHE, cfg.TEST.PRECISE_BN.ENABLED = 100, True
    cfg.freeze()
    asked = []
    trainer = SimpleNamespace(
        cfg=cfg, model=Model(), build_train_loader=lambda cfg: asked.append(cfg.DATALOADER.CACHE) or TinyLoader()
    )
    default_hooks.build_precise_bn(trainer)
    assert asked == [0] and cfg.DATALOADER.CACHE == 100
