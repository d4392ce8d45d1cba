import pytest
import torch
from torch import nn

from exact_runs import PLAIN, ExactTrainer, differences, train
from steploop.engine import LayerFreeze, hooks
from steploop.engine.distributed.ddp import ddp_options
from tiny import tiny_trainer
from tiny_project import tiny_cfg


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.heads = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))

    def forward(self, batch):
        return self.heads(self.backbone(batch)).square().mean()


def test_layers_without_steps_are_told_to_train(caplog):
    LayerFreeze(Two(), ["backbone"], 0)
    assert "SOLVER.FREEZE_ITERS is 0" in caplog.text


def frozen(iters=3, layers=("backbone",), seen=None):
    """Return a trainer whose layers are frozen at first; in `seen` is noted when they moved."""
    torch.manual_seed(0)
    model = Two()
    trainer = tiny_trainer(model=model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    trainer.optimizer = optimizer
    freeze = LayerFreeze(model, layers, iters)
    trainer.register_hooks([freeze])
    if seen is not None:
        before = {name: value.clone() for name, value in model.state_dict().items()}

        def look(trainer):
            now = model.state_dict()
            seen.append({name.split(".")[0] for name in now if not torch.equal(now[name], before[name])})
            before.update({name: value.clone() for name, value in now.items()})

        trainer.register_hooks([hooks.CallbackHook(after_step=look)])
    return trainer, freeze


def test_neither_weights_nor_statistics_move_in_the_first_steps():
    seen = []
    trainer, freeze = frozen(seen=seen)
    trainer.train(0, 6)
    assert seen == [{"heads"}] * 3 + [{"backbone", "heads"}] * 3
    assert not freeze.is_frozen and all(module.training for module in trainer.model.modules())


def test_the_optimizer_learns_nothing_of_them():
    trainer, _ = frozen()
    trainer.train(0, 3)
    assert not any(parameter in trainer.optimizer.state for parameter in trainer.model.backbone.parameters())
    assert all(parameter in trainer.optimizer.state for parameter in trainer.model.heads.parameters())


@pytest.mark.parametrize("start, moved", [(2, [{"heads"}, {"backbone", "heads"}]), (3, [{"backbone", "heads"}] * 2)])
def test_it_follows_from_the_step(start, moved):
    seen = []
    trainer, _ = frozen(seen=seen)
    trainer.train(start, start + 2)
    assert seen == moved


def test_gradients_of_an_earlier_step_are_gone():
    trainer, _ = frozen()
    for parameter in trainer.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    trainer.zero_grad_before_forward = True
    trainer.optimizer.zero_grad = lambda: None
    seen = trainer.model.backbone[0].weight.detach().clone()
    trainer.train(0, 1)
    assert torch.equal(seen, trainer.model.backbone[0].weight)


def test_batch_normalisation_stays_in_eval_mode_whoever_sets_it():
    trainer, _ = frozen()
    modes = []
    trainer.model.backbone[1].register_forward_hook(lambda module, *_: modes.append(module.training))
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: t.model.train())])  # as a careless evaluation
    trainer.train(0, 5)
    assert modes == [False, False, False, True, True]


def test_what_was_frozen_before_stays_so():
    trainer, _ = frozen()
    trainer.model.backbone[0].weight.requires_grad_(False)
    trainer.model.backbone[1].eval()
    trainer.train(0, 5)
    assert not trainer.model.backbone[0].weight.requires_grad and trainer.model.backbone[0].bias.requires_grad
    assert not trainer.model.backbone[1].training


def test_a_training_that_ends_in_between_leaves_a_model_that_trains():
    seen = []
    trainer, _ = frozen(seen=seen)
    trainer.train(0, 2)
    assert all(parameter.requires_grad for parameter in trainer.model.parameters())
    trainer.train(2, 4)
    trainer.train(0, 1)
    assert seen == [{"heads"}] * 3 + [{"backbone", "heads"}] + [{"heads"}]


def test_parts_of_modules_and_zero_steps():
    trainer, _ = frozen(layers=["backbone.0", "heads.1"])
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train(0, 1)
    moved = {name.rpartition(".")[0] for name, now in trainer.model.state_dict().items() if not now.equal(before[name])}
    assert moved == {"backbone.1", "heads.0", "heads.2"}
    seen = []
    frozen(iters=0, seen=seen)[0].train(0, 1)
    assert seen == [{"backbone", "heads"}]


@pytest.mark.parametrize("name, hint", [("backbne", "did you mean 'backbone'"), ("", "Known: backbone")])
def test_a_name_that_no_module_has(name, hint):
    with pytest.raises(ValueError, match=hint):
        LayerFreeze(Two(), [name], 3)


FROZEN = ("MODEL.FREEZE_LAYERS", "['layers.0', 'layers.1']", "SOLVER.FREEZE_ITERS", 5, "SOLVER.OPT", "AdamW")


def test_the_config_freezes_and_a_resumed_run_ends_in_the_same_bits(tmp_path):
    whole = train(tmp_path / "whole", *FROZEN)
    for kill in (("before_step", 4), ("after_backward", 6), ("saved", 8)):
        train(tmp_path / "run", *FROZEN, kill=kill)
    train(tmp_path / "run", *FROZEN)
    assert differences(tmp_path / "run", tmp_path / "whole") == []
    other = train(tmp_path / "other").model.state_dict()
    assert not torch.equal(whole.model.state_dict()["layers.0.weight"], other["layers.0.weight"])


def test_ddp_looks_for_unused_parameters_where_some_are_frozen(tmp_path):
    assert ddp_options(tiny_cfg(tmp_path, *PLAIN))["find_unused_parameters"] is False
    assert ddp_options(tiny_cfg(tmp_path, *PLAIN, *FROZEN))["find_unused_parameters"] is True


def test_an_unknown_layer_in_the_config(tmp_path):
    with pytest.raises(ValueError, match="FREEZE_LAYERS: unknown module of ExactModel 'layer'; did you mean 'layers'"):
        ExactTrainer(tiny_cfg(tmp_path, "MODEL.FREEZE_LAYERS", "['layer']", "SOLVER.FREEZE_ITERS", 1))


class Wrapped(nn.parallel.DistributedDataParallel):
    """DistributedDataParallel without a process group."""

    def __init__(self, module, unused, static):
        nn.Module.__init__(self)
        self.module, self.find_unused_parameters, self.static_graph = module, unused, static


@pytest.mark.parametrize("unused, static", [(False, False), (True, True)])
def test_a_wrapped_model_that_would_wait_is_refused(unused, static):
    with pytest.raises(ValueError, match="DDP.FIND_UNUSED_PARAMETERS"):
        LayerFreeze(Wrapped(Two(), unused, static), ["backbone"], 3)
    LayerFreeze(Wrapped(Two(), unused, static), ["backbone"], 0)
