from steploop.config import get_cfg
from steploop.data import add_sampler_config, build_train_sampler
from steploop.data.config import with_sampler_config


def test_a_second_call_changes_nothing():
    cfg = get_cfg()
    assert "SAMPLER_TRAIN" not in cfg.DATALOADER
    add_sampler_config(cfg)
    cfg.DATALOADER.SAMPLER_TRAIN = "Mine"
    add_sampler_config(cfg)
    assert cfg.DATALOADER.SAMPLER_TRAIN == "Mine"


def test_a_config_without_the_keys_has_the_defaults() -> None:
    cfg = get_cfg()
    cfg.freeze()
    assert sorted(build_train_sampler(cfg, [{}, {}, {}], 1).order(0).tolist()) == [0, 1, 2]
    filled = with_sampler_config(cfg)
    assert filled.is_frozen() and filled.DATALOADER.SAMPLER_TRAIN == "TrainingSampler"
    assert "SAMPLER_TRAIN" not in cfg.DATALOADER
    assert with_sampler_config(filled) is filled
