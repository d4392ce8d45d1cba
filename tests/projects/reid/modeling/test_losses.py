import math
from functools import partial

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from shared_files import shared
from steploop.projects.reid.modeling import (
    cross_entropy_loss,
    distillation_loss,
    focal_loss,
    pairwise_circleloss,
    pairwise_cosface,
    triplet_loss,
)

TRIPLETS = {
    f"triplet_m{margin}_norm{norm:d}_hard{hard:d}": partial(
        triplet_loss, margin=margin, norm_feat=norm, hard_mining=hard
    )
    for margin in (0.3, 0.0)
    for norm in (False, True)
    for hard in (False, True)
}
# Their weights are constants by definition, so the gradient is not that of the value.
SELF_WEIGHTED = {
    "cross_entropy_adaptive": partial(cross_entropy_loss, eps=-1.0),
    "circle": partial(pairwise_circleloss, margin=0.25, gamma=16.0),
}
PLAIN = {
    "cross_entropy": partial(cross_entropy_loss, eps=0.1),
    "cosface": partial(pairwise_cosface, margin=0.25, gamma=16.0),
    **TRIPLETS,
}
EVERY_LOSS = PLAIN | SELF_WEIGHTED
every_loss = pytest.mark.parametrize("loss", EVERY_LOSS.values(), ids=EVERY_LOSS)
every_triplet = pytest.mark.parametrize("loss", TRIPLETS.values(), ids=TRIPLETS)


@pytest.fixture(scope="module")
def extra():
    with np.load(shared("golden/reid_extra/losses.npz")) as file:
        return {key: torch.from_numpy(file[key]) for key in file}


@pytest.fixture(scope="module")
def golden():
    with np.load(shared("golden/losses.npz")) as file:
        return {name: torch.from_numpy(file[name]) for name in file}


def near(actual, expected):
    return (actual - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("eps", [0.0, 0.1, -1.0])
def test_cross_entropy_is_golden(golden, eps):
    assert near(cross_entropy_loss(golden["logits"], golden["classes"], eps), golden[f"ce_eps{eps}"])


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (1.0, 0.5)])
def test_focal_loss_is_golden(extra, alpha, gamma):
    assert near(focal_loss(extra["logits"], extra["classes"], alpha, gamma), extra[f"focal_a{alpha}_g{gamma}"])


def test_focal_loss_of_certain_samples_has_a_gradient():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0]), 1.0, 0.5)
    loss.backward()
    assert loss.item() < 1e-6 and logits.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [16.0, 4.0])
def test_distillation_is_golden(extra, temperature):
    loss = distillation_loss(extra["logits"], extra["teacher_logits"], temperature)
    assert near(loss, extra[f"jsdiv_t{temperature}"])
    assert near(distillation_loss(extra["teacher_logits"], extra["logits"], temperature), loss)


@pytest.mark.parametrize("margin", [0.3, 0.0])
@pytest.mark.parametrize("norm", [0, 1])
@pytest.mark.parametrize("hard", [0, 1])
def test_triplet_is_golden(golden, margin, norm, hard):
    loss = triplet_loss(golden["embedding"], golden["targets"], margin, bool(norm), bool(hard))
    assert near(loss, golden[f"triplet_m{margin}_norm{norm}_hard{hard}"])


@pytest.mark.parametrize("name, loss", [("circle", pairwise_circleloss), ("cosface", pairwise_cosface)])
def test_pairwise_losses_are_golden(golden, name, loss):
    assert near(loss(golden["embedding"], golden["targets"], 0.25, 128.0), golden[f"{name}_m0.25_g128"])


def batch(seed=0, size=8, dim=5, identities=4, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, dim, generator=generator, dtype=dtype)
    return x, torch.arange(identities).repeat_interleave(size // identities)


@pytest.mark.parametrize("loss", PLAIN.values(), ids=PLAIN)
def test_gradients_are_those_of_the_value(loss):
    x, targets = batch(dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), x.requires_grad_())


@every_loss
def test_gradient_descent_lowers_it(loss):
    x, targets = batch()
    before = loss(x.requires_grad_(), targets)
    (gradient,) = torch.autograd.grad(before, x)
    assert before.shape == ()
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    assert loss(x.detach() - 1e-2 * gradient, targets) < before


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    x, targets = batch(dim=64)
    x = x.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(x, targets)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(x.float(), targets))


@every_loss
def test_nothing_is_read_from_the_device(loss):
    with FakeTensorMode(), torch.enable_grad():  # a fake tensor has no value: reading one is an error
        x = torch.randn(8, 5, requires_grad=True)
        loss(x, torch.zeros(8, dtype=torch.int64)).backward()


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.3])
def test_smoothed_cross_entropy_is_torchs_with_another_unit(eps):
    x, targets = batch(dim=7)
    expected = torch.nn.functional.cross_entropy(x, targets, label_smoothing=eps * 7 / 6)
    torch.testing.assert_close(cross_entropy_loss(x, targets, eps), expected)


def test_adaptive_smoothing_is_a_constant_of_the_gradient():
    x, targets = batch(dim=7)
    p = x.softmax(dim=1)
    true = torch.nn.functional.one_hot(targets, 7)
    smoothing = 0.2 * (p * true).sum(dim=1, keepdim=True)
    smoothed = true * (1 - smoothing) + (1 - true) * smoothing / 6
    loss = cross_entropy_loss(x.requires_grad_(), targets, -1.0)
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], (p - smoothed) / 8)


def test_circle_weights_are_constants_of_the_gradient():
    # Two anchors have one pair of each kind: softplus(lp + ln) with lp = -g wp (sp - 1 + m), ln = g wn (sn - m).
    angle = torch.tensor([0.0, 0.4, 1.3], dtype=torch.float64, requires_grad=True)
    loss = pairwise_circleloss(torch.stack((angle.cos(), angle.sin()), dim=1), torch.tensor([0, 0, 1]), 0.25, 2.0)
    (gradient,) = torch.autograd.grad(loss, angle)
    expected = torch.zeros(3, dtype=torch.float64)
    for anchor, other in ((0, 1), (1, 0)):  # the third has no positive
        p, n = ((angle[i] - angle[anchor]).item() for i in (other, 2))
        weight_p, weight_n = 1.25 - math.cos(p), math.cos(n) + 0.25
        logit = 2 * (-weight_p * (math.cos(p) - 0.75) + weight_n * (math.cos(n) - 0.25))
        share = 1 / (1 + math.exp(-logit)) / 3
        slope_p, slope_n = 2 * weight_p * math.sin(p), -2 * weight_n * math.sin(n)
        expected[other] += share * slope_p
        expected[2] += share * slope_n
        expected[anchor] -= share * (slope_p + slope_n)
    torch.testing.assert_close(gradient, expected)


def test_cross_entropy_of_one_class_is_an_error():
    with pytest.raises(ValueError, match=r"at least 2 classes.*\(4, 1\)"):
        cross_entropy_loss(torch.zeros(4, 1), torch.zeros(4, dtype=torch.int64), 0.1)


def test_hard_triplet_by_hand():
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    targets = torch.tensor([0, 0, 1, 1])
    # farthest positives 1, 1, 4, 4; nearest negatives 3, 2, 2, 6
    assert triplet_loss(x, targets, 0.5, False, True).item() == pytest.approx((0 + 0 + 2.5 + 0) / 4)
    soft = [math.log1p(math.exp(gap)) for gap in (1 - 3, 1 - 2, 4 - 2, 4 - 6)]
    assert triplet_loss(x, targets, 0.0, False, True).item() == pytest.approx(sum(soft) / 4)


@every_triplet
def test_a_batch_of_one_identity_has_loss_and_gradient_zero(loss):
    x, _ = batch()
    value = loss(x.requires_grad_(), torch.zeros(8, dtype=torch.int64))
    value.backward()
    assert value == 0
    assert torch.equal(x.grad, torch.zeros_like(x))


@every_triplet
def test_identities_with_one_image_have_a_finite_loss_and_gradient(loss):
    x, _ = batch()
    value = loss(x.requires_grad_(), torch.arange(8))
    value.backward()
    assert value.isfinite()
    assert x.grad.isfinite().all()


@every_triplet
def test_equal_features_have_a_finite_gradient(loss):
    x = torch.ones(8, 5, requires_grad=True)
    value = loss(x, torch.arange(4).repeat_interleave(2))
    value.backward()
    assert value > 0
    assert x.grad.isfinite().all()


def test_the_soft_margin_does_not_overflow():
    x = torch.tensor([[0.0], [1000.0], [1.0], [1001.0]])
    assert triplet_loss(x, torch.tensor([0, 0, 1, 1]), 0.0, False, True).item() == pytest.approx(999.0, rel=1e-4)


def test_near_neighbours_far_from_the_origin_keep_their_distance():
    x, targets = batch(dim=16)
    moved = triplet_loss(x + 100.0, targets, 0.3, False, True)
    torch.testing.assert_close(moved, triplet_loss(x, targets, 0.3, False, True), rtol=1e-4, atol=0)


@pytest.mark.parametrize("loss", [pairwise_circleloss, pairwise_cosface])
def test_a_pair_loss_without_positives_or_negatives_is_zero(loss):
    x, _ = batch()
    for targets in (torch.arange(8), torch.zeros(8, dtype=torch.int64)):
        value = loss(x.requires_grad_(), targets, 0.25, 128.0)
        (gradient,) = torch.autograd.grad(value, x)
        assert value == 0
        assert torch.equal(gradient, torch.zeros_like(x))
