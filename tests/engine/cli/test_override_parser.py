import pytest

from steploop.engine.cli.override_parser import OverrideParser


@pytest.fixture
def parser():
    parser = OverrideParser()
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--name", default="")
    parser.add_argument("--steps", nargs="?", type=int, const=5, default=0)
    parser.add_argument("--ids", nargs="+", type=int, default=[])
    return parser


@pytest.mark.parametrize(
    "value", ["-1", "-0.1", "-.5", "-5.", "-1e-3", "-1E5", "-.inf", "-inf", "-x", "--", "- a", "(-1, -2)"]
)
def test_what_follows_a_key_is_its_value(parser, value):
    assert parser.parse_args(["A.B", value, "C", "1"]).opts == ["A.B", value, "C", "1"]
    assert parser.parse_args([f"A.B={value}", "--resume"]).opts == [f"A.B={value}"]


def test_flags_may_stand_between_the_pairs(parser):
    args = parser.parse_args(["A", "-1", "--name", "x.yaml", "B", "2", "--resume", "C", "3"])
    assert (args.opts, args.name, args.resume) == (["A", "-1", "B", "2", "C", "3"], "x.yaml", True)


def test_an_unambiguous_beginning_of_a_flag_is_the_flag(parser):
    args = parser.parse_args(["A", "1", "--res", "--nam=y"])
    assert (args.opts, args.resume, args.name) == (["A", "1"], True, "y")


def test_flags_with_several_values_end_at_the_next_flag(parser):
    args = parser.parse_args(["A", "1", "--ids", "1", "2", "--steps", "3", "B", "2"])
    assert (args.ids, args.steps, args.opts) == ([1, 2], 3, ["A", "1", "B", "2"])


def test_a_key_before_a_flag_has_no_value(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["SEED", "--resume"])
    assert "SEED has no value: --resume is a flag" in capsys.readouterr().err


def test_an_unknown_flag_is_named(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["SEED", "1", "--no-such-flag", "B", "2"])
    assert "unrecognized arguments: --no-such-flag" in capsys.readouterr().err


def test_positional_arguments_of_a_script_come_first(parser):
    parser.add_argument("folder")
    args = parser.parse_args(["--resume", "data/", "A", "1"])
    assert (args.folder, args.opts) == ("data/", ["A", "1"])


def test_no_pairs_are_an_empty_list(parser):
    assert parser.parse_args([]).opts == []
