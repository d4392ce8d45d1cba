from pathlib import Path

from steploop.config import diff_configs, get_cfg, load_yaml
from steploop.config.diff import ABSENT
from steploop.projects.reid import add_reid_config

# What version 0.2.0 wrote into the folder of a run.
OLD = Path(__file__).with_name("config_0.2.0.yaml")


def test_the_config_of_a_run_of_0_2_0_is_read_as_it_was(caplog):
    cfg = get_cfg()
    add_reid_config(cfg)
    cfg.merge_from_file(OLD)
    assert cfg.MODEL.BACKBONE.DEPTH == 18 and cfg.DATALOADER.SAMPLER_TRAIN == "IdentitySampler"
    changes = diff_configs(load_yaml(OLD), cfg)
    assert [key for key, _, now in changes if now is ABSENT] == ["VIS_PERIOD"]
    assert {was for _, was, now in changes if now is not ABSENT} <= {ABSENT}  # keys that came later
    assert [record.getMessage() for record in caplog.records] == [
        f"{OLD}:189: VIS_PERIOD has no effect any more and is ignored"
    ]
