import pytest
from torch import nn

from steploop.config import get_cfg
from steploop.engine import create_ddp_model
from steploop.engine.distributed.ddp import ddp_options


def test_one_process_needs_no_wrapper():
    model = nn.Linear(2, 2)
    assert create_ddp_model(model, fp16_compression=True) is model


def test_an_unknown_compression_is_an_error():
    with pytest.raises(ValueError, match="DDP.COMPRESSION 'zip'"):
        create_ddp_model(nn.Linear(2, 2), compression="zip")


def test_the_config_reaches_ddp():
    cfg = get_cfg()
    assert ddp_options(cfg) == {
        "find_unused_parameters": False, "broadcast_buffers": False, "static_graph": False, "compression": ""
    }  # fmt: skip
    cfg.DETERMINISTIC = True
    assert ddp_options(cfg)["find_unused_parameters"]
    cfg.DDP.STATIC_GRAPH = True
    assert not ddp_options(cfg)["find_unused_parameters"]
