import torch
from torch import nn

from steploop.config import get_cfg
from steploop.modeling import PretrainedWeights, add_backbone_config, build_backbone, convert_names, pretrained_parts


def test_parts_are_found_by_name():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    assert pretrained_parts(model) == {}
    model[1][0].pretrained = PretrainedWeights("a.pth")
    model[0].pretrained = "what another library means by this name"
    assert pretrained_parts(model) == {"1.0": PretrainedWeights("a.pth", (), convert_names)}
    model.pretrained = PretrainedWeights("b.pth", ignore=("fc.",))
    assert list(pretrained_parts(model)) == ["", "1.0"]


def test_building_reads_no_file():
    cfg = get_cfg()
    add_backbone_config(cfg)
    cfg.MODEL.BACKBONE.DEPTH, cfg.MODEL.BACKBONE.WIDTH = 18, 4
    assert build_backbone(cfg).pretrained is None
    cfg.MODEL.BACKBONE.PRETRAIN_PATH = "no/such/file.pth"
    backbone = build_backbone(cfg)
    assert backbone.pretrained == PretrainedWeights("no/such/file.pth", ignore=("fc.",))
    assert isinstance(backbone.conv1.weight, torch.Tensor)
