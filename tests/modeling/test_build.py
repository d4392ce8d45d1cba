import pytest
import torch
from torch import nn

from steploop.config import get_cfg
from steploop.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    ShapeSpec,
    add_backbone_config,
    build_backbone,
    build_model,
)


@META_ARCH_REGISTRY.register()
class ModelOfThisTest(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.layer = nn.Linear(cfg.MODEL.BACKBONE.WIDTH, 1)


def test_build_model_takes_the_registered_class_to_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cfg = get_cfg()
    add_backbone_config(cfg)
    cfg.MODEL.META_ARCHITECTURE = "ModelOfThisTest"
    cfg.MODEL.BACKBONE.WIDTH = 5
    model = build_model(cfg)
    assert isinstance(model, ModelOfThisTest)
    assert model.layer.weight.shape == (1, 5)
    assert model.layer.weight.device.type == "cpu"
    cfg.MODEL.DEVICE = "cuda"
    with pytest.raises(ValueError, match="no GPU"):
        build_model(cfg)


def test_build_backbone_gives_the_resnet_of_the_config():
    cfg = get_cfg()
    add_backbone_config(cfg)
    cfg.MODEL.BACKBONE.DEPTH = 18
    cfg.MODEL.BACKBONE.WIDTH = 4
    assert "build_resnet_backbone" in BACKBONE_REGISTRY
    assert build_backbone(cfg).output_shape() == {"res5": ShapeSpec(channels=32, stride=32)}


@pytest.mark.parametrize("build, key", [(build_model, "META_ARCHITECTURE"), (build_backbone, "BACKBONE.NAME")])
def test_an_unknown_name_is_reported(build, key):
    cfg = get_cfg()
    add_backbone_config(cfg)
    cfg.merge_from_list([f"MODEL.{key}", "NoSuchThing"])
    with pytest.raises(KeyError, match="NoSuchThing"):
        build(cfg)
