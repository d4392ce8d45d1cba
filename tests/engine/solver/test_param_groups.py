import pytest
import torch
from torch import nn

from steploop.engine.solver import get_default_optimizer_params


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.heads = nn.ModuleDict({"norm": nn.LayerNorm(4), "classifier": nn.Linear(4, 2)})


def by_name(groups):
    return {name: (g.get("lr"), g.get("weight_decay")) for g in groups for name in g["param_names"]}


def test_equal_settings_share_a_group_in_the_order_of_the_model():
    model = Net()
    (group,) = get_default_optimizer_params(model, 0.1, 1e-4)
    assert group["param_names"] == [name for name, _ in model.named_parameters()]
    assert all(a is b for a, b in zip(group["params"], model.parameters()))
    assert (group["lr"], group["weight_decay"]) == (0.1, 1e-4)
    groups = get_default_optimizer_params(model, 0.1, 1e-4, weight_decay_norm=0.0)
    assert [group["param_names"] for group in groups] == [
        ["conv.weight", "conv.bias", "heads.classifier.weight", "heads.classifier.bias"],
        ["bn.weight", "bn.bias", "heads.norm.weight", "heads.norm.bias"],
    ]


def test_every_setting():
    groups = get_default_optimizer_params(
        Net(), 1.0, 0.5, weight_decay_norm=0.25, weight_decay_bias=0.125, bias_lr_factor=2.0, lr_factors={"heads": 10.0}
    )
    assert by_name(groups) == {
        "conv.weight": (1.0, 0.5),
        "conv.bias": (2.0, 0.125),
        "bn.weight": (1.0, 0.25),
        "bn.bias": (2.0, 0.125),  # as in detectron2, the bias's weight decay wins over the norm's
        "heads.norm.weight": (10.0, 0.25),
        "heads.norm.bias": (20.0, 0.125),
        "heads.classifier.weight": (10.0, 0.5),
        "heads.classifier.bias": (20.0, 0.125),
    }


def test_factors_of_modules_inside_of_each_other_multiply():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.net2 = Net(), nn.Linear(1, 1)

    factors = {"net": 0.5, "net.heads.norm": 0.1, "net.conv": 4.0}
    settings = by_name(get_default_optimizer_params(Whole(), 1.0, lr_factors=factors))
    assert settings["net.conv.weight"][0] == 2.0
    assert settings["net.bn.bias"][0] == 0.5
    assert settings["net.heads.norm.bias"][0] == 0.05
    assert settings["net2.weight"][0] == 1.0  # only begins like it


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="SOLVER.LR_FACTORS: unknown module of Net 'head'; did you mean 'heads'"):
        get_default_optimizer_params(Net(), 1.0, lr_factors={"head": 2.0})
    with pytest.raises(ValueError, match="unknown module of Net 'qq'. Known: conv, bn, heads"):
        get_default_optimizer_params(Net(), 1.0, lr_factors={"qq": 2.0})
    with pytest.raises(ValueError, match="unknown module of Net ''"):
        get_default_optimizer_params(Net(), 1.0, lr_factors={"": 2.0})


def test_a_factor_by_name_and_overrides():
    groups = get_default_optimizer_params(
        Net(),
        1.0,
        lr_factor_func=lambda name: 0.1 if name.startswith("conv") else 1.0,
        overrides={"bias": {"lr": 5.0, "weight_decay": 0.0}},
    )
    settings = by_name(groups)
    assert settings["conv.weight"] == (0.1, None)
    assert settings["bn.weight"] == (1.0, None)
    assert settings["conv.bias"] == (5.0, 0.0)


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm1d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LayerNorm, nn.RMSNorm, lambda n: nn.GroupNorm(1, n)]
)
def test_norms_are_known_by_class(norm):
    (group,) = get_default_optimizer_params(norm(4), 0.1, 1e-4, weight_decay_norm=0.0)
    assert group["weight_decay"] == 0.0


def test_frozen_parameters_are_left_out_and_shared_ones_counted_once():
    model = Net()
    model.conv.requires_grad_(False)
    model.again = nn.Linear(4, 2)
    model.again.weight = model.heads["classifier"].weight
    names = [name for group in get_default_optimizer_params(model, 0.1) for name in group["param_names"]]
    assert not any(name.startswith("conv.") for name in names)
    assert "heads.classifier.weight" in names
    assert "again.weight" not in names
    torch.optim.SGD(get_default_optimizer_params(model, 0.1), lr=1.0)


def test_errors():
    with pytest.raises(ValueError, match="give base_lr too"):
        get_default_optimizer_params(Net(), bias_lr_factor=2.0)
    with pytest.raises(ValueError, match="give base_lr too"):
        get_default_optimizer_params(Net(), lr_factors={"heads": 2.0})
    with pytest.raises(ValueError, match="Net has no parameter"):
        get_default_optimizer_params(Net().requires_grad_(False), 0.1)
