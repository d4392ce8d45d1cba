import pytest
import torch
from torch import nn

from steploop.engine.solver.restore import restore_optimizer


def optimizer(model, lr=0.1, *, names=True, split=False, **options):
    pairs = [(name, p) for name, p in model.named_parameters()]
    parts = [pairs[1:], pairs[:1]] if split else [pairs]
    groups = [{"params": [p for _, p in part], "lr": lr, **options} for part in parts]
    if names:
        for group, part in zip(groups, parts):
            group["param_names"] = [name for name, _ in part]
    return torch.optim.SGD(groups, momentum=0.9)


def trained(**kwargs):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    opt = optimizer(model, **kwargs)
    model(torch.ones(1, 2)).sum().backward()
    opt.step()
    return model, opt


def momentum(opt, model):
    return [opt.state[p]["momentum_buffer"] for p in model.parameters()]


def test_the_config_says_the_options_and_the_file_the_momentum():
    model, old = trained(lr=0.1, weight_decay=0.1)
    new = optimizer(model, lr=0.5, weight_decay=0.0)
    new.load_state_dict(restore_optimizer(new, old.state_dict()))
    assert (new.param_groups[0]["lr"], new.param_groups[0]["weight_decay"]) == (0.5, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(momentum(new, model), momentum(old, model)))


def test_groups_cut_in_another_way_are_matched_by_name():
    model, old = trained()
    new = optimizer(model, split=True)
    new.load_state_dict(restore_optimizer(new, old.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(momentum(new, model), momentum(old, model)))


def test_without_names_the_place_decides():
    model, old = trained(names=False)
    new = optimizer(model, lr=0.7)
    new.load_state_dict(restore_optimizer(new, old.state_dict()))
    assert new.param_groups[0]["lr"] == 0.7
    assert all(torch.equal(a, b) for a, b in zip(momentum(new, model), momentum(old, model)))
    with pytest.raises(ValueError, match="no names"):
        restore_optimizer(optimizer(model, split=True), old.state_dict())


def test_new_and_lost_parameters_are_named(caplog):
    model, old = trained()
    state = old.state_dict()
    state["param_groups"][0]["param_names"][0] = "old.name"
    restored = restore_optimizer(optimizer(model), state)
    assert "['old.name']" in caplog.text and "['0.weight']" in caplog.text
    assert set(restored["state"]) == {1, 2, 3}


def stepped(cls, model=None, **options):
    torch.manual_seed(0)
    model = model or nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    opt = cls(
        [{"params": list(model.parameters()), "param_names": [n for n, _ in model.named_parameters()]}], **options
    )
    model(torch.ones(1, 2)).sum().backward()
    opt.step()
    return model, opt


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}), (torch.optim.AdamW, {})),
        ((torch.optim.AdamW, {}), (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9})),
        ((torch.optim.Adam, {}), (torch.optim.Adam, {"amsgrad": True})),
        ((torch.optim.RMSprop, {}), (torch.optim.RMSprop, {"centered": True, "momentum": 0.5})),
        ((torch.optim.Adafactor, {}), (torch.optim.Adam, {})),
        ((torch.optim.AdamW, {}), (torch.optim.SGD, {"lr": 0.1})),
    ],
)
def test_another_optimizer_starts_its_state_again_and_says_so(before, after, caplog):
    _, old = stepped(before[0], **before[1])
    model, new = stepped(after[0], **after[1])
    fresh = {name for entry in new.state.values() for name in entry}
    new.load_state_dict(restore_optimizer(new, old.state_dict()))
    assert not new.state
    assert "starts again for 4 of 4 parameters" in caplog.text
    assert "SOLVER.OPT" in caplog.text
    model(torch.ones(1, 2)).sum().backward()
    new.step()
    assert {name for entry in new.state.values() for name in entry} == fresh


@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adafactor])
def test_the_same_optimizer_keeps_all_of_its_state(cls, caplog):
    options = {"momentum": 0.9} if cls is torch.optim.SGD else {}
    _, old = stepped(cls, **options)
    _, new = stepped(cls, lr=0.5, **options)
    restored = restore_optimizer(new, old.state_dict())
    assert restored["state"].keys() == {0, 1, 2, 3}
    assert not caplog.records


def test_a_state_of_another_shape_starts_again(caplog):
    _, old = stepped(torch.optim.Adam, nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 5)))
    model, new = stepped(torch.optim.Adam, nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
    new.load_state_dict(restore_optimizer(new, old.state_dict()))
    assert {index for index, p in enumerate(model.parameters()) if p in new.state} == {0, 1}
    assert "for 2 of 4 parameters" in caplog.text
