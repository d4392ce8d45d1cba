import math

import pytest

from steploop.config import CfgNode, ConfigError, UnknownKeyError, WrongTypeError


@pytest.fixture
def cfg() -> CfgNode:
    return CfgNode(
        {
            "SEED": -1,
            "NAME": "",
            "ON": False,
            "MAYBE": None,
            "SOLVER": {"BASE_LR": 0.1, "STEPS": (10,), "MEAN": [1.0], "ARGS": CfgNode()},
        }
    )


def test_an_int_is_fine_for_a_float(cfg):
    cfg.merge_from_other_cfg({"SOLVER": {"BASE_LR": 1}})
    assert cfg.SOLVER.BASE_LR == 1.0 and type(cfg.SOLVER.BASE_LR) is float
    with pytest.raises(ConfigError, match="too large"):
        cfg.merge_from_other_cfg({"SOLVER": {"BASE_LR": 10**400}})


def test_list_and_tuple(cfg):
    cfg.merge_from_other_cfg({"SOLVER": {"STEPS": [1, 2], "MEAN": (3.0,)}})
    assert cfg.SOLVER.STEPS == (1, 2) and cfg.SOLVER.MEAN == [3.0]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("SEED", 1.0, "SEED expects an int; came the float 1.0; write it without a point"),
        ("SEED", True, "SEED expects an int; came the bool True"),
        ("SEED", None, "SEED expects an int; came None; None is taken only where the default is None"),
        ("SEED", {"A": 1}, "SEED expects an int; came the dict {'A': 1}"),
        ("NAME", 3, "NAME expects a str; came the int 3; put it in quotes"),
        ("NAME", None, "NAME expects a str; came None; .* write '' for nothing"),
        ("ON", 1, r"ON expects a bool \(True or False\); came the int 1"),
        ("SOLVER", 3, "SOLVER expects a section .* came the int 3; set its keys, such as SOLVER.KEY"),
        ("SOLVER", None, "SOLVER expects a section .* came None"),
        ("SEED", object(), "SEED is of type object; a config holds"),
    ],
)
def test_wrong_type_says_what_was_expected_and_what_came(cfg, key, value, text):
    before = cfg.clone()
    with pytest.raises(WrongTypeError, match=f"^the other config: {text}") as caught:
        cfg.merge_from_other_cfg({key: value})
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, TypeError)
    assert cfg == before


def test_lists_are_copied(cfg):
    other = {"SOLVER": {"MEAN": [1.0]}}
    cfg.merge_from_other_cfg(other)
    cfg.SOLVER.MEAN.append(2.0)
    assert other == {"SOLVER": {"MEAN": [1.0]}}


def test_file_line_path_and_nearest_key_of_an_unknown_key(cfg, tmp_path):
    (tmp_path / "base.yaml").write_text("SEED: 3\nSOLVER:\n  BASE_LRR: 0.1\n")
    (tmp_path / "top.yaml").write_text("_BASE_: base.yaml\nSEED: 4\n")
    with pytest.raises(UnknownKeyError) as caught:
        cfg.merge_from_file(tmp_path / "top.yaml")
    where = tmp_path / "base.yaml"
    assert str(caught.value).startswith(f"{where}:3: unknown key 'SOLVER.BASE_LRR'; did you mean 'SOLVER.BASE_LR'?")
    assert cfg.SEED == -1


def test_file_and_line_of_a_wrong_type(cfg, tmp_path):
    (tmp_path / "x.yaml").write_text("SOLVER:\n  BASE_LR: fast\n")
    with pytest.raises(WrongTypeError, match="x.yaml:2: SOLVER.BASE_LR expects a float; came the str 'fast'"):
        cfg.merge_from_file(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("opts", "text"),
    [
        (["SOLVER.BASE_LRR", "1"], "unknown key 'SOLVER.BASE_LRR'; did you mean 'SOLVER.BASE_LR'?"),
        (["BASE_LR", "1"], "unknown key 'BASE_LR'; did you mean 'SOLVER.BASE_LR'?"),
        (["solver.base_lr=1"], "unknown key 'solver'; did you mean 'SOLVER'?"),
        (["QQQQ", "1"], "unknown key 'QQQQ'. Known: "),
        (["_BASE_", "x.yaml"], "unknown key '_BASE_': _BASE_ can only be used at the top of a file"),
        (["--resume", "SEED"], "unknown key '--resume'; options such as --resume go before the first KEY VALUE pair"),
    ],
)
def test_unknown_key_on_the_command_line(cfg, opts, text):
    with pytest.raises(UnknownKeyError) as caught:
        cfg.merge_from_list(opts)
    assert str(caught.value).startswith(f"the command line: {text}")


def test_a_dotted_key_in_a_file_is_told_to_nest(cfg, tmp_path):
    (tmp_path / "x.yaml").write_text("SOLVER.BASE_LR: 1\n")
    with pytest.raises(UnknownKeyError, match="x.yaml:1: unknown key 'SOLVER.BASE_LR'; write it nested"):
        cfg.merge_from_file(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("opts", "text"),
    [
        (["SEED", "1", "NAME"], "NAME has no value; overrides are KEY VALUE pairs"),
        (["SEED", "1", "--resume"], "--resume has no value; options such as --resume go before"),
    ],
)
def test_odd_number_of_overrides(cfg, opts, text):
    with pytest.raises(ConfigError, match=f"^the command line: {text}"):
        cfg.merge_from_list(opts)
    assert cfg.SEED == -1


def test_overrides(cfg):
    cfg.merge_from_list(["SEED", "3", "SOLVER.BASE_LR=3e-4", "NAME=a=b", "ON", "true", "SOLVER.STEPS", "[1,2]"])
    assert (cfg.SEED, cfg.SOLVER.BASE_LR, cfg.NAME, cfg.ON, cfg.SOLVER.STEPS) == (3, 3e-4, "a=b", True, (1, 2))
    cfg.merge_from_list(["SOLVER.MEAN", (1, 2), "SEED", 4, "SOLVER", "{'BASE_LR': 2}"])
    assert (cfg.SOLVER.MEAN, cfg.SEED, cfg.SOLVER.BASE_LR) == ([1, 2], 4, 2.0)
    cfg.merge_from_list([])


@pytest.mark.parametrize(
    ("text", "value"), [("2024", "2024"), ("[1]", "[1]"), ("'a b'", "a b"), ("", ""), ("a/b", "a/b"), ("True", "True")]
)
def test_text_for_a_str_is_taken_as_it_stands(cfg, text, value):
    cfg.merge_from_list(["NAME", text])
    assert value == cfg.NAME


def test_none_for_a_str_is_refused(cfg):
    with pytest.raises(WrongTypeError, match="NAME expects a str; came None"):
        cfg.merge_from_list(["NAME", "None"])


def test_a_quoted_string_in_a_file_stays_a_string(cfg, tmp_path):
    (tmp_path / "x.yaml").write_text("NAME: '123'\nMAYBE: '(1, 2)'\nSOLVER: {BASE_LR: 3e-4}\n")
    cfg.merge_from_file(tmp_path / "x.yaml")
    assert (cfg.NAME, cfg.MAYBE, cfg.SOLVER.BASE_LR) == ("123", "(1, 2)", 3e-4)


def test_a_default_of_none_takes_anything_for_ever(cfg):
    for value in (1, 0.5, "x", None, [1]):
        cfg.merge_from_other_cfg({"MAYBE": value})
        assert value == cfg.MAYBE


def test_none_assigned_over_a_default_keeps_its_type(cfg):
    cfg.SOLVER.BASE_LR = None
    cfg.merge_from_list(["SOLVER.BASE_LR", "1"])
    assert cfg.SOLVER.BASE_LR == 1.0
    cfg.merge_from_list(["SOLVER.BASE_LR", "None"])
    assert cfg.SOLVER.BASE_LR is None
    with pytest.raises(WrongTypeError, match="expects a float"):
        cfg.merge_from_list(["SOLVER.BASE_LR", "fast"])


def test_allow_none(cfg):
    cfg.SOLVER.allow_none("BASE_LR")
    cfg.merge_from_list(["SOLVER.BASE_LR", "None"])
    assert cfg.SOLVER.BASE_LR is None
    with pytest.raises(UnknownKeyError, match="no key BASE"):
        cfg.SOLVER.allow_none("BASE")


def test_new_keys_where_they_are_allowed(cfg, tmp_path):
    cfg.SOLVER.ARGS = CfgNode(new_allowed=True)
    (tmp_path / "x.yaml").write_text("SOLVER:\n  ARGS:\n    eps: 1\n    deep: {a: 1}\n")
    cfg.merge_from_file(tmp_path / "x.yaml")
    cfg.merge_from_list(["SOLVER.ARGS.eps", "1e-8", "SOLVER.ARGS.betas", "(0.9, 0.99)", "SOLVER.ARGS.deep.b", "x"])
    assert cfg.SOLVER.ARGS == {"eps": 1e-8, "betas": (0.9, 0.99), "deep": {"a": 1, "b": "x"}}
    assert cfg.SOLVER.ARGS.deep.b == "x"
    with pytest.raises(UnknownKeyError):
        cfg.merge_from_list(["SOLVER.OTHER", "1"])


@pytest.mark.parametrize("key", ["SOLVER.ARGS." + "a." * 100 + "b", "SOLVER.ARGS" + ".a" * 20_000])
def test_keys_nested_too_deep(cfg, key):
    cfg.SOLVER.ARGS = CfgNode(new_allowed=True)
    with pytest.raises(ConfigError, match="nested more than 30 levels"):
        cfg.merge_from_list([key, "1"])


@pytest.mark.parametrize("key", ["SOLVER.ARGS.", "SOLVER.ARGS..a"])
def test_empty_parts_of_a_key(cfg, key):
    cfg.SOLVER.ARGS = CfgNode(new_allowed=True)
    with pytest.raises(ConfigError, match="not empty and without dots"):
        cfg.merge_from_list([key, "1"])


def test_numbers_as_written(cfg):
    cfg.merge_from_list(["SOLVER.BASE_LR", "nan"])
    assert math.isnan(cfg.SOLVER.BASE_LR)
    cfg.merge_from_list(["SOLVER.BASE_LR", "1e999", "SEED", str(10**300)])
    assert math.inf == cfg.SOLVER.BASE_LR and cfg.SEED == 10**300
