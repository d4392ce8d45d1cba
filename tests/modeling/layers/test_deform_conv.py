"""Tests of steploop/modeling/layers/deform_conv.py."""

import sys
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shared_files import shared
from steploop.modeling.layers import deform_conv
from steploop.modeling.layers.deform_conv import ModulatedDeformConv2d, deform_conv2d, torchvision_operator

CASES = ["random", "zero_offsets", "integer_offsets", "far_outside", "stride2", "dilation2_pad2", "one_row", "nomask"]


def golden():
    return np.load(shared("golden/centerfusion/dcn.npz"))


def assert_close(actual, expected, tolerance=1e-5):
    expected = torch.as_tensor(expected)
    assert actual.shape == expected.shape
    assert (actual.detach() - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_all_gradients_are_the_published_operators(case):
    figures = golden()
    names = [n for n in ("x", "offset", "weight", "bias", "mask") if f"{case}/d_{n}" in figures]
    given = {n: torch.tensor(figures[f"{case}/{n}"], requires_grad=True) for n in names}
    stride, padding, dilation = map(int, figures[f"{case}/args"])
    out = deform_conv2d(**given, stride=stride, padding=padding, dilation=dilation)
    assert_close(out, figures[f"{case}/out"])
    (out * torch.tensor(figures[f"{case}/grad_out"])).sum().backward()
    for name in names:
        assert_close(given[name].grad, figures[f"{case}/d_{name}"])


def test_the_layer_is_dcnv2s():
    figures = golden()
    layer = ModulatedDeformConv2d(6, 5)
    layer.load_state_dict({n: torch.tensor(figures[f"layer/{n}"]) for n in layer.state_dict()})
    x = torch.tensor(figures["layer/x"], requires_grad=True)
    out = layer(x)
    assert_close(out, figures["layer/out"])
    out.square().sum().backward()
    assert_close(x.grad, figures["layer/d_x"])
    for name, parameter in layer.named_parameters():
        assert_close(parameter.grad, figures[f"layer/d_{name}"])


def test_without_offsets_it_is_a_convolution_in_groups_too():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 8, 6, 7), torch.randn(4, 4, 3, 3)
    out = deform_conv2d(x, torch.zeros(2, 2 * 18, 6, 7), weight, padding=1)
    torch.testing.assert_close(out, F.conv2d(x, weight, padding=1, groups=2), rtol=1e-5, atol=1e-5)


def test_each_group_of_channels_has_its_own_offsets():
    torch.manual_seed(0)
    x, weight = torch.randn(1, 4, 5, 5), torch.randn(3, 4, 3, 3)
    offset = torch.randn(1, 2 * 18, 5, 5)
    both = deform_conv2d(x, offset, weight, padding=1)
    first = deform_conv2d(x[:, :2], offset[:, :18], weight[:, :2].contiguous(), padding=1)
    second = deform_conv2d(x[:, 2:], offset[:, 18:], weight[:, 2:].contiguous(), padding=1)
    torch.testing.assert_close(both, first + second, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), 1e30])
def test_a_strange_offset_is_no_error_of_an_index(strange):
    offset = torch.zeros(1, 18, 4, 4)
    offset[0, 0, 1, 1] = strange
    out = deform_conv2d(torch.ones(1, 2, 4, 4), offset, torch.ones(1, 2, 3, 3), padding=1)
    assert torch.isfinite(out[0, 0, 3, 3])
    assert torch.isnan(out[0, 0, 1, 1]) == (strange != 1e30)  # so that the loss is not finite either


def test_half_precision_keeps_exact_positions():
    torch.manual_seed(0)
    layer = ModulatedDeformConv2d(4, 4)
    torch.nn.init.normal_(layer.conv_offset_mask.bias, std=2)
    x = torch.randn(1, 4, 6, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(x.bfloat16())
    assert (out.float() - layer(x)).abs().max() < 0.05 * layer(x).abs().max()


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"expected offsets of shape \(1, 18, 4, 4\)"):
        deform_conv2d(torch.ones(1, 2, 4, 4), torch.zeros(1, 18, 3, 3), torch.ones(1, 2, 3, 3), padding=1)
    with pytest.raises(ValueError, match="expected a mask"):
        deform_conv2d(
            torch.ones(1, 2, 4, 4), torch.zeros(1, 18, 4, 4), torch.ones(1, 2, 3, 3), padding=1, mask=torch.ones(1)
        )


@pytest.fixture
def fresh_probe():
    torchvision_operator.cache_clear()
    yield
    torchvision_operator.cache_clear()


@pytest.mark.usefixtures("fresh_probe")
def test_a_torchvision_that_imports_but_does_not_run_is_not_used(monkeypatch):
    def broken(*_args):
        raise RuntimeError("operator torchvision::deform_conv2d does not exist")

    ops = types.ModuleType("torchvision.ops")
    ops.deform_conv2d = broken
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.ops", ops)
    assert torchvision_operator() is None


@pytest.mark.usefixtures("fresh_probe")
def test_a_torchvision_that_works_gives_the_same(monkeypatch):
    operator = torchvision_operator()
    if operator is None:
        pytest.skip("torchvision is not installed, or does not work with this torch")
    torch.manual_seed(0)
    x, offset, weight = torch.randn(1, 4, 5, 5), torch.randn(1, 18, 5, 5), torch.randn(3, 4, 3, 3)
    torch.testing.assert_close(
        deform_conv.deform_conv2d_bags(x, offset, weight, padding=1), operator(x, offset, weight, padding=1)
    )
