import math

import numpy as np
import pytest
import torch

from shared_files import shared
from steploop.projects.reid.modeling import build_cls_layer
from steploop.projects.reid.modeling.margin import cosine_logits

SETTINGS = {"Linear": (1, 0.0), "CosSoftmax": (30, 0.35), "ArcSoftmax": (30, 0.5), "CircleSoftmax": (64, 0.35)}


@pytest.mark.parametrize("name", SETTINGS)
def test_logits_are_golden(name):
    with np.load(shared("golden/losses.npz")) as file:
        cosines, classes, expected = (torch.from_numpy(file[key]) for key in ("cosines", "classes", f"cls_{name}"))
    before = cosines.clone()
    actual = build_cls_layer(name, 10, *SETTINGS[name])(cosines, classes)
    assert (actual - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert torch.equal(cosines, before)


@pytest.mark.parametrize("name", ["CosSoftmax", "ArcSoftmax"])
def test_the_margin_lowers_the_true_class_and_nothing_else(name):
    cosines = torch.rand(6, 5) * 1.6 - 0.8
    targets = torch.tensor([0, 1, 2, 3, 4, 0])
    plain = build_cls_layer(name, 5, 2.0, 0.0)(cosines, targets)
    margin = build_cls_layer(name, 5, 2.0, 0.2)(cosines, targets)
    true = torch.nn.functional.one_hot(targets, 5).bool()
    torch.testing.assert_close(plain, 2 * cosines)
    assert (margin[true] < plain[true]).all()
    assert torch.equal(margin[~true], plain[~true])


def test_the_arc_margin_is_an_angle():
    logits = build_cls_layer("ArcSoftmax", 2, 1.0, 0.3)(torch.tensor([[math.cos(0.5), 0.1]]), torch.tensor([0]))
    assert logits[0, 0].item() == pytest.approx(math.cos(0.8))


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_are_finite_at_the_ends_of_the_range(name):
    cosines = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], requires_grad=True)
    build_cls_layer(name, 2, *SETTINGS[name])(cosines, torch.tensor([0, 0])).sum().backward()
    assert cosines.grad.isfinite().all()


def test_cosines_stay_float32_under_autocast():
    features, weight = torch.randn(4, 64), torch.randn(3, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cosines = cosine_logits(features.bfloat16(), weight)
    assert cosines.dtype == torch.float32
    expected = torch.nn.functional.cosine_similarity(features.bfloat16().float()[:, None], weight[None], dim=2)
    torch.testing.assert_close(cosines, expected)


def test_an_unknown_layer_names_the_known_ones():
    with pytest.raises(ValueError, match="'Softmax'.*Linear, CosSoftmax, ArcSoftmax, CircleSoftmax"):
        build_cls_layer("Softmax", 2, 1.0, 0.0)
