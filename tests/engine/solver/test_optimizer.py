import pytest
import torch
from torch import nn

from steploop.config import get_cfg
from steploop.engine.solver import build_optimizer


def config(**solver):
    cfg = get_cfg()
    arguments = solver.pop("OPT_ARGS", {})
    cfg.SOLVER.update(solver)
    cfg.SOLVER.OPT_ARGS.update(arguments)
    return cfg


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


def test_the_default_is_sgd_with_momentum():
    optimizer = build_optimizer(get_cfg(), model())
    assert type(optimizer) is torch.optim.SGD
    decayed, norms = optimizer.param_groups
    assert (decayed["lr"], decayed["momentum"], decayed["nesterov"], decayed["weight_decay"]) == (
        0.001,
        0.9,
        False,
        1e-4,
    )
    assert norms["weight_decay"] == 0.0
    assert norms["param_names"] == ["1.weight", "1.bias"]
    assert optimizer.state_dict()["param_groups"][1]["param_names"] == ["1.weight", "1.bias"]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "NAdam", "Adagrad", "Adafactor", "Rprop"])
def test_any_optimizer_of_torch_takes_a_step(name):
    net = model()
    before = net[0].weight.clone()
    decay = {"WEIGHT_DECAY": 0.0} if name == "Rprop" else {}
    optimizer = build_optimizer(config(OPT=name, BASE_LR=0.1, **decay), net)
    net(torch.ones(2, 3)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(net[0].weight, before)


def test_arguments_of_the_class():
    optimizer = build_optimizer(config(OPT="AdamW", OPT_ARGS={"betas": [0.8, 0.9], "amsgrad": True}), model())
    assert tuple(optimizer.param_groups[0]["betas"]) == (0.8, 0.9)
    assert optimizer.param_groups[0]["amsgrad"] is True
    assert "momentum" not in optimizer.param_groups[0]


def test_factors_of_modules():
    optimizer = build_optimizer(config(BASE_LR=0.1, LR_FACTORS=[["2", 10], ("0", 0.5)]), model())
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
    assert rates == pytest.approx(
        {"0.weight": 0.05, "0.bias": 0.05, "1.weight": 0.1, "1.bias": 0.1, "2.weight": 1.0, "2.bias": 1.0}
    )
    for wrong in (["heads", 10.0], [["heads"]], [["heads", "10"]], [{"heads": 10.0}], [["heads", True]]):
        with pytest.raises(ValueError, match=r'LR_FACTORS is a list like \[\["heads", 10.0\]\]'):
            build_optimizer(config(LR_FACTORS=wrong), model())


def test_wrong_names():
    with pytest.raises(KeyError, match="did you mean 'AdamW'"):
        build_optimizer(config(OPT="adamw"), model())
    with pytest.raises(KeyError, match="did you mean 'SGD'"):
        build_optimizer(config(OPT="SDG"), model())
    with pytest.raises(KeyError, match="unknown name 'Optimizer'"):
        build_optimizer(config(OPT="Optimizer"), model())
    with pytest.raises(TypeError, match="SGD does not take betas, epsilon; it takes .*dampening"):
        build_optimizer(config(OPT_ARGS={"epsilon": 1, "betas": 2}), model())
    with pytest.raises(TypeError, match="set SOLVER.MOMENTUM"):
        build_optimizer(config(OPT_ARGS={"momentum": 0.5}), model())


def test_what_a_class_cannot_do():
    with pytest.raises(ValueError, match="Rprop has no weight decay"):
        build_optimizer(config(OPT="Rprop"), model())
    with pytest.raises(ValueError, match="'LBFGS' must compute the loss again"):
        build_optimizer(config(OPT="LBFGS"), model())
