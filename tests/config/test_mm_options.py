import pytest

from steploop.config import ConfigError, merge_options
from steploop.config.mm_options import parse_option


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-0.5", -0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("None", None),
        ("data/coco/", "data/coco/"),
        ("'quoted'", "quoted"),
        ("[a,b]", ["a", "b"]),
        ("[1, 2]", [1, 2]),
        ("a,b", ["a", "b"]),
        ("(1333,800)", (1333, 800)),
        ("[(1,2),(3,[4])]", [(1, 2), (3, [4])]),
        ("[]", []),
        ("(ship,)", ("ship",)),
        ("", ""),
    ],
)
def test_values(text, value):
    assert parse_option(text) == value and type(parse_option(text)) is type(value)


@pytest.mark.parametrize("text", ["[1", "(1]", "[[1]", "1)", "[" * 40 + "]" * 40])
def test_brackets_that_do_not_match(text):
    with pytest.raises(ConfigError, match="--cfg-options"):
        parse_option(text)


def test_merge():
    config = {"data": {"train": {"pipeline": [{"type": "A"}, {"type": "B", "x": 1}]}}, "lr": 0.1}
    merged = merge_options(config, ["data.train.pipeline.1.x=2", "lr=0.2", "new.key=[a,b]", "data.train.pipeline.0=3"])
    assert merged == {
        "data": {"train": {"pipeline": [3, {"type": "B", "x": 2}]}},
        "lr": 0.2,
        "new": {"key": ["a", "b"]},
    }
    assert config["lr"] == 0.1 and config["data"]["train"]["pipeline"][1]["x"] == 1


@pytest.mark.parametrize("option", ["lr", "=1", "a..b=1", "lr.x=1", "steps.7=1", "steps.x=1"])
def test_mistakes(option):
    with pytest.raises(ConfigError, match="--cfg-options"):
        merge_options({"lr": 1, "steps": [8, 11]}, [option])
