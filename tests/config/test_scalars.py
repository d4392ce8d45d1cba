import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steploop.config import CfgNode
from steploop.config.safe_yaml import parse_yaml
from steploop.config.scalars import MAX_LITERAL, MAX_NESTING, parse_value, problem_with


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-0x1F", -31),
        ("1e-3", 1e-3),
        ("3e-4", 3e-4),
        (".5", 0.5),
        ("1e400", math.inf),
        ("inf", math.inf),
        ("-.inf", -math.inf),
        ("True", True),
        ("false", False),
        ("None", None),
        ("null", None),
        ("[1,2]", [1, 2]),
        ("(1,)", (1,)),
        ("()", ()),
        ("['a', ('b', 2.0)]", ["a", ("b", 2.0)]),
        ("{'a': 1}", {"a": 1}),
        ("'quoted'", "quoted"),
        ("", ""),
        ("bare", "bare"),
        ("a/b-c.yaml", "a/b-c.yaml"),
        (r"C:\data\new", r"C:\data\new"),
        ("'1'", "1"),
        ("[a, b]", "[a, b]"),
        ("...", "..."),
        ("b'x'", "b'x'"),
        ("1j", "1j"),
        ("{1, 2}", "{1, 2}"),
        ("{1: 2}", "{1: 2}"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
    ],
)
def test_parse_value(text, value):
    parsed = parse_value(text)
    assert parsed == value and type(parsed) is type(value)


def test_nan():
    assert math.isnan(parse_value("nan")) and math.isnan(parse_value(".nan"))


@pytest.mark.parametrize(
    "piece", ["-", "[", "(", "1+", "not ", "a.b", "9", "f" * 100, "{", "lambda:", "\ud800", "\0", "'\\"]
)
def test_huge_and_deep_text_stays_text(piece):
    for length in (5000, MAX_LITERAL, 100_000):
        text = (piece * length)[:length]
        assert parse_value(text) == text


def test_a_literal_of_limited_length():
    text = f"[{'1,' * (MAX_LITERAL // 2 - 1)}]"
    assert len(parse_value(text)) == MAX_LITERAL // 2 - 1
    assert parse_value(text[:-1] + " ]") == text[:-1] + " ]"


def test_deep_literal_stays_text():
    text = "[" * (MAX_NESTING + 2) + "]" * (MAX_NESTING + 2)
    assert parse_value(text) == text
    assert parse_value(text[2:-2]) == eval(text[2:-2])


def test_warns_of_nothing(recwarn):
    parse_value(r"'C:\d'")
    parse_value("1if 1else 2")
    assert not recwarn.list


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_parse_value_never_raises(text):
    assert problem_with(parse_value(text)) is None


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_unquoted_text_means_the_same_in_a_file(value):
    assert parse_value(repr(value)) == value
    assert parse_yaml(f"A: {value!r}", "x")[0] == {"A": value}


def test_problem_with():
    assert problem_with({"a": [1, (2.0, None, "x", True)]}) is None
    assert problem_with(numpy.float64(1)) == "of type numpy.float64"
    assert problem_with([{1, 2}]) == "of type set"
    assert problem_with([CfgNode()]) == "of type steploop.config.node.CfgNode"
    assert problem_with([{1: 2}]) == "a dict whose keys are not all strings"
