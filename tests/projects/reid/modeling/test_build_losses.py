import pytest
import torch

from steploop.config import get_cfg
from steploop.projects.reid.config import add_reid_config
from steploop.projects.reid.modeling import (
    HeadOutputs,
    build_losses,
    cross_entropy_loss,
    pairwise_circleloss,
    pairwise_cosface,
    triplet_loss,
)

TARGETS = torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def cfg():
    cfg = get_cfg()
    add_reid_config(cfg)
    return cfg


@pytest.fixture
def outputs():
    generator = torch.Generator().manual_seed(0)
    logits, features = (torch.randn(6, dim, generator=generator) for dim in (3, 8))
    return HeadOutputs(cls_outputs=logits, pred_class_logits=torch.zeros(6, 3), features=features)


def test_every_key_of_the_config_arrives(cfg, outputs):
    losses = cfg.MODEL.LOSSES
    losses.NAME = ("CrossEntropyLoss", "TripletLoss", "CircleLoss", "Cosface")
    losses.CE.EPSILON, losses.CE.ALPHA, losses.CE.SCALE = -1.0, 0.4, 2.0
    losses.TRI.MARGIN, losses.TRI.NORM_FEAT, losses.TRI.HARD_MINING, losses.TRI.SCALE = 0.7, True, False, 3.0
    losses.CIRCLE.MARGIN, losses.CIRCLE.GAMMA, losses.CIRCLE.SCALE = 0.1, 5.0, 4.0
    losses.COSFACE.MARGIN, losses.COSFACE.GAMMA, losses.COSFACE.SCALE = 0.2, 6.0, 5.0
    features = outputs.features
    expected = {
        "loss_cls": 2 * cross_entropy_loss(outputs.cls_outputs, TARGETS, -1.0, 0.4),
        "loss_triplet": 3 * triplet_loss(features, TARGETS, 0.7, True, False),
        "loss_circle": 4 * pairwise_circleloss(features, TARGETS, 0.1, 5.0),
        "loss_cosface": 5 * pairwise_cosface(features, TARGETS, 0.2, 6.0),
    }
    actual = {name: loss(outputs, TARGETS) for name, loss in build_losses(cfg).items()}
    torch.testing.assert_close(actual, expected)


def test_only_the_listed_losses_are_built(cfg):
    assert list(build_losses(cfg)) == ["loss_cls", "loss_triplet"]
    cfg.MODEL.LOSSES.NAME = ("TripletLoss",)
    assert list(build_losses(cfg)) == ["loss_triplet"]


WRONG = [((), "is empty"), (("Triplet",), "'Triplet'.*CrossEntropyLoss, FocalLoss, TripletLoss")]


@pytest.mark.parametrize("names, match", WRONG)
def test_wrong_lists_are_named(cfg, names, match):
    cfg.MODEL.LOSSES.NAME = names
    with pytest.raises(ValueError, match=match):
        build_losses(cfg)
