import pytest
import torch
from fvcore.common.param_scheduler import ConstantParamScheduler, LinearParamScheduler

from steploop.engine import SimpleTrainer, hooks
from tiny import TinyLoader, TinyModel, tiny_trainer


def test_the_rate_that_the_step_used_is_recorded():
    trainer = tiny_trainer(lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(trainer.optimizer, lambda step: 1.0 / (step + 1))
    trainer.register_hooks([hooks.LRScheduler(scheduler=schedule)])
    trainer.train(0, 4)
    assert trainer.storage.history("lr").values() == [(1.0, 0), (1 / 2, 1), (1 / 3, 2), (1 / 4, 3)]


def test_a_function_of_progress_multiplies_the_rates():
    trainer = tiny_trainer(lr=2.0)
    trainer.register_hooks([hooks.LRScheduler(scheduler=LinearParamScheduler(1.0, 0.0))])
    trainer.train(0, 4)
    assert [rate for rate, _ in trainer.storage.history("lr").values()] == [2.0, 1.5, 1.0, 0.5]


@pytest.mark.parametrize("moves", [True, False])
def test_the_momentum_is_recorded_where_a_schedule_moves_it(moves):
    trainer = tiny_trainer(lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(trainer.optimizer, 1.0, 4, pct_start=0.5, cycle_momentum=moves)
    trainer.register_hooks([hooks.LRScheduler(scheduler=schedule)])
    trainer.train(0, 3)
    recorded = trainer.storage.histories()
    assert ("momentum" in recorded) is moves
    if moves:
        assert recorded["momentum"].values() == [(0.95, 0), (0.85, 1), (pytest.approx(0.9), 2)]


def test_the_rate_shown_is_that_of_the_largest_group():
    model = TinyModel()
    model.other = torch.nn.Linear(2, 2)
    groups = [
        {"params": [model.layer.weight], "lr": 0.1},
        {"params": [model.layer.bias, *model.other.parameters()], "lr": 0.2},
    ]
    trainer = SimpleTrainer(model, TinyLoader(), torch.optim.SGD(groups, lr=1.0))
    trainer.register_hooks([hooks.LRScheduler(scheduler=ConstantParamScheduler(1.0))])
    trainer.train(0, 1)
    assert trainer.storage.latest()["lr"][0] == 0.2


def test_a_torch_schedule_is_restored():
    trainer = tiny_trainer(lr=1.0)
    trainer.register_hooks([hooks.LRScheduler(scheduler=torch.optim.lr_scheduler.StepLR(trainer.optimizer, 3))])
    trainer.train(0, 5)
    other = tiny_trainer(lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(other.optimizer, 3)
    other.register_hooks([hooks.LRScheduler(scheduler=schedule)])
    other.load_state_dict(trainer.state_dict())
    assert schedule.last_epoch == 5
