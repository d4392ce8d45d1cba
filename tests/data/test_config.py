from steploop.config import get_cfg
from steploop.data import add_sampler_config


def test_a_second_call_changes_nothing():
    cfg = get_cfg()
    assert "SAMPLER_TRAIN" not in cfg.DATALOADER
    add_sampler_config(cfg)
    cfg.DATALOADER.SAMPLER_TRAIN = "Mine"
    add_sampler_config(cfg)
    assert cfg.DATALOADER.SAMPLER_TRAIN == "Mine"
