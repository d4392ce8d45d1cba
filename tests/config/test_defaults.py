import pytest

from steploop.config import CfgNode, get_cfg


def test_each_call_returns_a_new_config():
    first, second = get_cfg(), get_cfg()
    first.SOLVER.BASE_LR = 5.0
    first.DATASETS.TRAIN += ("x",)
    assert second.SOLVER.BASE_LR == 0.001 and second.DATASETS.TRAIN == ()


def test_optimizer_arguments_may_be_new():
    cfg = get_cfg()
    cfg.merge_from_list(["SOLVER.OPT", "AdamW", "SOLVER.OPT_ARGS.betas", "(0.9, 0.99)"])
    assert cfg.SOLVER.OPT_ARGS.betas == (0.9, 0.99)


@pytest.mark.parametrize("key", ["NEW", "SOLVER.NEW", "MODEL.NEW"])
def test_nothing_else_may(key):
    with pytest.raises(KeyError, match="unknown key"):
        get_cfg().merge_from_list([key, "1"])


def test_keys_are_upper_case():
    def keys(node: CfgNode) -> list[str]:
        return [k for key, value in node.items() for k in [key, *(keys(value) if isinstance(value, CfgNode) else [])]]

    assert all(key == key.upper() for key in keys(get_cfg()))
