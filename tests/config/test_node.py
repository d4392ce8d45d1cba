import copy
import io
import pickle
from pathlib import Path

import pytest
from fvcore.common.config import CfgNode as FvcoreCfgNode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steploop.config import CfgNode, ConfigError, FrozenConfigError, WrongTypeError, diff_configs, get_cfg

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=4), st.lists(st.lists(SCALARS, max_size=3), max_size=3))
KEYS = st.text(st.characters(exclude_characters="."), min_size=1)
ERRORS = (ValueError, KeyError)


def paths(node: CfgNode, prefix: str = "") -> list[str]:
    return [
        path
        for key, value in node.items()
        for path in [prefix + key, *(paths(value, f"{prefix}{key}.") if isinstance(value, CfgNode) else [])]
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("config") / "x.yaml"


def test_is_fvcores():
    assert isinstance(get_cfg(), FvcoreCfgNode)


@settings(max_examples=100, deadline=None)
@given(values=st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_values_survive_dump_and_load(file, values):
    cfg = CfgNode({"A": values})
    file.write_text(cfg.dump())
    loaded = CfgNode({"A": CfgNode(new_allowed=True)})
    loaded.merge_from_file(file)
    assert diff_configs(cfg, loaded) == []


def test_the_schema_survives_dump_and_load_with_its_types(file):
    cfg = get_cfg()
    cfg.merge_from_list(["SOLVER.STEPS", "(1, 2)", "OUTPUT_DIR", "3e-4", "SOLVER.BASE_LR", "1e-5"])
    cfg.TEST.EXPECTED_RESULTS = [["a", "b", 1.0, 2]]
    file.write_text(cfg.dump())
    loaded = get_cfg()
    loaded.merge_from_file(file)
    assert loaded == cfg and loaded.SOLVER.STEPS == (1, 2)


def test_the_deepest_value_that_a_merge_takes_survives_dump_and_load(file):
    cfg, loaded = CfgNode(new_allowed=True), CfgNode(new_allowed=True)
    cfg.merge_from_list([".".join("k" * 31), "[" * 31 + "]" * 31])
    file.write_text(cfg.dump())
    loaded.merge_from_file(file)
    assert loaded == cfg


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_overrides_raise_nothing_but_what_is_documented(data):
    cfg = get_cfg()
    key = st.one_of(st.sampled_from(paths(cfg)), st.text())
    text = st.one_of(st.text(), VALUES.map(repr), st.text("[](){}-+.e1'\" ,:", max_size=30))
    opts = data.draw(st.lists(st.one_of(key, text), max_size=4))
    before = cfg.clone()
    try:
        cfg.merge_from_list(opts)
    except ERRORS as err:
        assert str(err) and len(str(err)) < 2000
        assert cfg == before


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(st.binary(max_size=60), st.text("SEED: [](){}-+.e1'\"\n,&*!#|>%", max_size=60).map(str.encode)))
def test_files_raise_nothing_but_what_is_documented(file, text):
    file.write_bytes(text)
    cfg = get_cfg()
    try:
        cfg.merge_from_file(file)
    except ERRORS as err:
        assert str(err).startswith(str(file))


@pytest.mark.parametrize("copied", [copy.deepcopy, CfgNode.clone, lambda cfg: pickle.loads(pickle.dumps(cfg))])
@pytest.mark.parametrize("frozen", [True, False])
def test_copies(copied, frozen):
    cfg = CfgNode({"A": {"B": [1]}, "C": None})
    cfg.N = CfgNode(new_allowed=True)
    if frozen:
        cfg.freeze()
    twin = copied(cfg)
    assert twin == cfg and type(twin.A) is CfgNode and twin.A.B is not cfg.A.B
    assert twin.is_frozen() is twin.A.is_frozen() is frozen
    twin.defrost()
    twin.merge_from_list(["N.x", "1", "C", "text", "A.B", "[2]"])
    assert (twin.N.x, twin.C, twin.A.B, cfg.A.B, "x" in cfg.N) == (1, "text", [2], [1], False)


def test_frozen():
    cfg = CfgNode({"A": {"B": 1}})
    cfg.freeze()
    with pytest.raises(FrozenConfigError, match=r"cannot set B to the int 2: the config is frozen; call defrost\(\)"):
        cfg.A.B = 2
    with pytest.raises(FrozenConfigError):
        cfg["A"] = 2
    with pytest.raises(FrozenConfigError, match="merge into a frozen config"):
        cfg.merge_from_list(["A.B", "2"])
    with pytest.raises(AttributeError):
        cfg.NEW = 1
    assert cfg.A.B == 1
    cfg.defrost()
    cfg.A.B = 2
    assert cfg.A.B == 2


def test_computed_keys():
    cfg = CfgNode({"A": 1})
    cfg.freeze()
    cfg.COMPUTED_B = 2
    cfg.COMPUTED_B = 2
    assert cfg.COMPUTED_B == 2
    with pytest.raises(KeyError, match="COMPUTED_B"):
        cfg.COMPUTED_B = 3


@pytest.mark.parametrize("value", [object(), [object()], {1, 2}, Path("x"), {"A": {"B": print}}])
def test_only_plain_values(value):
    cfg = CfgNode()
    with pytest.raises(WrongTypeError, match="a config holds"):
        cfg.A = value
    with pytest.raises(WrongTypeError):
        CfgNode({"A": value})


@pytest.mark.parametrize("key", ["", "A.B", 3, None])
def test_keys(key):
    with pytest.raises(ConfigError, match="no dots"):
        CfgNode()[key] = 1


def test_the_init_dict_is_copied():
    values = {"A": {"B": [1]}}
    cfg = CfgNode(values)
    values["A"]["B"].append(2)
    assert cfg.A.B == [1]


def test_nodes_of_the_init_dict_keep_what_they_allow():
    inner = CfgNode(new_allowed=True)
    inner.freeze()
    cfg = CfgNode({"A": inner})
    cfg.merge_from_list(["A.x", "1"])
    assert cfg.A.x == 1 and inner == {}


def test_a_dict_becomes_a_node():
    cfg = CfgNode()
    cfg.A = {"B": {"C": 1}}
    assert cfg.A.B.C == 1 and isinstance(cfg.A.B, CfgNode)


def test_a_subclass_keeps_its_class():
    class Mine(CfgNode):
        pass

    cfg = Mine({"A": {"B": 1}})
    cfg.C = CfgNode({"D": 1})
    cfg.merge_from_list(["A.B", "2", "C.D", "3"])
    assert type(cfg.A) is Mine and (cfg.A.B, cfg.C.D) == (2, 3)


def test_load_yaml_with_base(tmp_path):
    (tmp_path / "base.yaml").write_text("A: {B: 1, C: 2}")
    (tmp_path / "top.yaml").write_text("_BASE_: base.yaml\nA: {B: 3}\nD: (1, 2)")
    assert CfgNode.load_yaml_with_base(tmp_path / "top.yaml") == {"A": {"B": 3, "C": 2}, "D": (1, 2)}


def test_load_cfg(tmp_path):
    assert CfgNode.load_cfg("A: {B: 3e-4}").A.B == 3e-4
    assert CfgNode.load_cfg(io.StringIO("A: 1")).A == 1
    code = tmp_path / "x.py"
    code.write_text("cfg = {'A': 1}\nraise SystemExit('ran')")
    with code.open() as stream, pytest.raises(ConfigError, match="x.py"):
        CfgNode.load_cfg(stream)
    with pytest.raises(ConfigError, match="tags"):
        CfgNode.load_cfg("A: !!python/name:os.system")


@pytest.mark.parametrize("is_frozen", [True, False])
def test_a_changed_copy_is_frozen_as_the_config_is(is_frozen):
    cfg = get_cfg()
    if is_frozen:
        cfg.freeze()
    changed = cfg.changed(**{"SOLVER.STEPS": [1, 2], "SOLVER.GAMMA": 1, "SEED": 7, "OUTPUT_DIR": "3"})
    assert (changed.SOLVER.STEPS, changed.SOLVER.GAMMA, changed.SEED, changed.OUTPUT_DIR) == ((1, 2), 1.0, 7, "3")
    assert type(changed.SOLVER.GAMMA) is float
    assert diff_configs(cfg, get_cfg()) == []
    assert changed.is_frozen() == changed.SOLVER.is_frozen() == cfg.is_frozen() == is_frozen


def test_a_changed_copy_has_no_key_and_no_type_of_its_own():
    with pytest.raises(KeyError, match="unknown key 'SOLVER.GAMA'; did you mean 'SOLVER.GAMMA'"):
        get_cfg().changed(**{"SOLVER.GAMA": 1})
    with pytest.raises(WrongTypeError, match="SEED expects an int"):
        get_cfg().changed(SEED="7")


def test_a_key_without_effect_is_ignored_with_one_warning(file, caplog):
    cfg = get_cfg()
    file.write_text("VIS_PERIOD: 200\nSEED: 3\n")
    cfg.merge_from_file(file)
    assert cfg.SEED == 3 and "VIS_PERIOD" not in cfg
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}:1: VIS_PERIOD has no effect any more and is ignored"
    ]
    with pytest.raises(KeyError, match="unknown key"):
        cfg.merge_from_list(["SOLVER.VIS_PERIOD", "1"])
