import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from steploop.config import get_cfg
from steploop.modeling import TimmBackbone, add_backbone_config, build_backbone


class Tokens(nn.Module):
    num_features = 6
    num_prefix_tokens = 1
    feature_info = [{"reduction": 16}]

    def __init__(self, img_size=(32, 16), **options):
        super().__init__()
        self.size, self.options = img_size, options

    def forward_features(self, x):
        return torch.arange(3.0)[None, :, None].expand(len(x), 3, 6)  # class token, then 2 x 1 patches


def make_cfg(name):
    cfg = get_cfg()
    add_backbone_config(cfg)
    cfg.MODEL.BACKBONE.NAME, cfg.MODEL.BACKBONE.DEPTH = "build_timm_backbone", name
    cfg.MODEL.BACKBONE.IMAGE_SIZE = [32, 16]
    return cfg


@pytest.fixture
def timm(monkeypatch):
    module = ModuleType("timm")
    module.is_model = lambda name: name == "tokens"
    module.list_models = lambda pattern: ["tokens"]
    module.create_model = lambda name, **options: Tokens(**options)
    monkeypatch.setitem(sys.modules, "timm", module)


def test_tokens_become_a_map(timm):
    backbone = build_backbone(make_cfg("tokens"))
    assert backbone.model.size == (32, 16) and backbone.model.options["num_classes"] == 0
    assert backbone.output_shape() == {"res5": (6, 16)}
    features = backbone(torch.zeros(2, 3, 32, 16))["res5"]
    assert features.shape == (2, 6, 2, 1)
    assert features[0, 0, :, 0].tolist() == [1.0, 2.0]
    assert backbone(torch.zeros(2, 3, 64, 16))["res5"].shape == (2, 6, 1, 1)


def test_channels_last_maps_are_turned():
    model = Tokens()
    model.forward_features = lambda x: torch.zeros(len(x), 4, 2, 6)
    assert TimmBackbone(model, 8)(torch.zeros(1, 3, 32, 16))["res5"].shape == (1, 6, 4, 2)


def test_an_unknown_model_names_similar_ones(timm):
    with pytest.raises(ValueError, match="timm has no model 'token'.*similar ones: tokens"):
        build_backbone(make_cfg("token"))


def test_without_timm_the_pair_of_torch_and_torchvision_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"torchvision from the same index.*The import failed with"):
        build_backbone(make_cfg("resnet50"))
