import pytest
import torch

from detection_golden import close, figures
from steploop.projects.detection.modeling.losses import CrossEntropyLoss, FocalLoss, L1Loss, SmoothL1Loss


def test_golden():
    gold = figures("ops")
    logits, labels, weights, pred, target, bce_logits, bce_labels, bce_weights = (
        torch.from_numpy(gold[f"loss_{name}"])
        for name in ("logits", "labels", "weights", "pred", "target", "bce_logits", "bce_labels", "bce_weights")
    )
    close(CrossEntropyLoss()(logits, labels, weights, 25), gold["loss_ce"])
    close(CrossEntropyLoss()(logits, labels), gold["loss_ce_mean"])
    # There 1 is the object; here it is label 0, and 1 the background.
    close(CrossEntropyLoss(use_sigmoid=True)(bce_logits, 1 - bce_labels, bce_weights, 37), gold["loss_bce"])
    close(L1Loss()(pred, target, weights, 25), gold["loss_l1"])
    for beta in (1.0, 1 / 9):
        close(SmoothL1Loss(beta)(pred, target, weights, 25), gold[f"loss_smoothl1_beta{beta:.4f}"])
    assert torch.equal(SmoothL1Loss(0.0)(pred, target, weights, 25), L1Loss()(pred, target, weights, 25))


def test_golden_focal():
    gold = figures("ops")
    logits = torch.from_numpy(gold["loss_logits"])[:, :5].clone().requires_grad_()
    labels, weights = torch.from_numpy(gold["loss_labels"]), torch.from_numpy(gold["loss_weights"])
    loss = FocalLoss()(logits, labels, weights, 13)
    close(loss, gold["loss_focal"])
    loss.backward()
    close(logits.grad, gold["loss_focal_grad"])
    close(FocalLoss().elements(logits, labels), gold["loss_focal_none"])
    close(FocalLoss(gamma=1.5, alpha=0.5)(logits, labels, None, 13), gold["loss_focal_g15_a5"])
    with pytest.raises(ValueError, match="use_sigmoid=True only"):
        FocalLoss(use_sigmoid=False)


@pytest.mark.parametrize("value", [-200.0, 200.0])
def test_focal_is_finite_at_the_ends(value):
    logits = torch.full((2, 3), value, requires_grad=True)
    FocalLoss()(logits, torch.tensor([0, 3])).backward()
    assert torch.isfinite(logits.grad).all()
