from steploop.config import get_cfg
from steploop.modeling import add_backbone_config


def test_a_second_call_changes_nothing():
    cfg = get_cfg()
    assert "BACKBONE" not in cfg.MODEL
    add_backbone_config(cfg)
    cfg.MODEL.BACKBONE.DEPTH = 18
    add_backbone_config(cfg)
    assert cfg.MODEL.BACKBONE.DEPTH == 18
