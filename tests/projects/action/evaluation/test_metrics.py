"""The figures that MMAction2 computes of the same scores."""

import numpy as np
import pytest
import torch

from action_golden import golden
from steploop.projects.action.evaluation import (
    average_views,
    confusion_matrix,
    mean_average_precision,
    mean_class_accuracy,
    mmit_mean_average_precision,
    top_k_accuracy,
)
from steploop.projects.action.modeling.losses import BCELossWithLogits, CrossEntropyLoss


@pytest.fixture
def figures():
    return golden("metrics.npz")


@pytest.mark.parametrize("name", "abcd")
def test_single_labels(figures, name):
    scores, labels = figures[f"{name}_scores"], figures[f"{name}_labels"]
    assert top_k_accuracy(scores, labels, (1, 3, 5)) == pytest.approx(figures[f"{name}_topk"], abs=1e-12)
    assert mean_class_accuracy(scores, labels) == pytest.approx(float(figures[f"{name}_mean_class"]), abs=1e-8)
    for kind in (None, "true", "pred", "all"):
        matrix = confusion_matrix(scores.argmax(axis=1), labels, kind)
        assert matrix == pytest.approx(figures[f"{name}_confusion_{kind}"], abs=1e-12)


@pytest.mark.parametrize("name", "abcd")
def test_several_labels(figures, name):
    scores, truth = figures[f"{name}_many_scores"], figures[f"{name}_many_labels"]
    assert mean_average_precision(scores, truth) == pytest.approx(float(figures[f"{name}_map"]), abs=1e-8)
    assert mmit_mean_average_precision(scores, truth) == pytest.approx(float(figures[f"{name}_mmit_map"]), abs=1e-8)


def test_averages_of_views(figures):
    logits = figures["clips_logits"].reshape(4, 30, 11)
    assert average_views(logits, "score") == pytest.approx(figures["clips_score"], abs=1e-5)
    assert average_views(logits, "prob") == pytest.approx(figures["clips_prob"], abs=1e-6)
    assert average_views(logits, None).shape == (120, 11)
    with pytest.raises(ValueError, match="average_clips"):
        average_views(logits, "mean")


def test_losses(figures):
    logits, labels, soft = (torch.from_numpy(figures[f"ce_{name}"]) for name in ("logits", "labels", "soft"))
    weights = figures["ce_class_weight"].tolist()
    assert CrossEntropyLoss()(logits, labels).item() == pytest.approx(float(figures["ce"]), rel=1e-6)
    weighted = CrossEntropyLoss(class_weight=weights)
    assert weighted(logits, labels).item() == pytest.approx(float(figures["ce_weighted"]), rel=1e-6)
    assert CrossEntropyLoss()(logits, soft).item() == pytest.approx(float(figures["ce_soft_loss"]), rel=1e-6)
    assert weighted(logits, soft).item() == pytest.approx(float(figures["ce_soft_weighted"]), rel=1e-6)
    several = torch.from_numpy(figures["bce_labels"])
    assert BCELossWithLogits()(logits, several).item() == pytest.approx(float(figures["bce"]), rel=1e-6)
    smooth = BCELossWithLogits(label_smooth_eps=0.1)
    assert smooth(logits, several).item() == pytest.approx(float(figures["bce_smooth0.1"]), rel=1e-6)
    with pytest.raises(ValueError, match="multi_class"):
        smooth(logits, labels)


def test_average_precision_without_positives_and_with_ties():
    scores = np.array([[0.5, 0.1], [0.5, 0.2], [0.1, 0.3]])
    truth = np.array([[1, 0], [0, 0], [1, 0]])
    assert mean_average_precision(scores, truth) == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 3)


def test_k_is_cut_to_the_number_of_classes():
    assert top_k_accuracy(np.eye(3), np.array([0, 1, 0]), (1, 5)) == [pytest.approx(2 / 3), 1.0]
    with pytest.raises(ValueError, match="normalize"):
        confusion_matrix(np.array([0]), np.array([0]), "rows")
