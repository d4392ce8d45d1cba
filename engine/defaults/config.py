"""The config of a run whose project adds no key."""

from steploop.config import CfgNode, get_cfg


def build_default_config() -> CfgNode:
    """Return the engine's keys and those of the parts that the default build_* methods of `DefaultTrainer` call."""
    from steploop.data import add_sampler_config

    cfg = get_cfg()
    add_sampler_config(cfg)
    return cfg
