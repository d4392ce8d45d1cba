"""Config files and command-line overrides."""

import os
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from steploop.config import CfgNode, ConfigError, UnknownKeyError, WrongTypeError, diff_configs, get_cfg
from steploop.modeling import add_backbone_config

from .harness import Kind
from .mutations import mutate_bytes, mutate_text, odd_text, pick

SCHEMA = get_cfg()
add_backbone_config(SCHEMA)
SEED = """\
# a comment
_BASE_: base.yaml
OUTPUT_DIR: "out"
DATASETS: {TRAIN: [a, 'b']}
MODEL:
  DEVICE: cpu
  PIXEL_MEAN: [1, 2.5, 3e-1]
  BACKBONE:
    NAME: >
      folded
    DEPTH: 18
SOLVER:
  BASE_LR: 1e-3
  WEIGHT_DECAY_NORM: null
  STEPS: (10, 20)
  OPT_ARGS: {betas: [0.9, 0.99], deep: {er: {x: .inf}}}
  EMA:
    ENABLED: true
TEST:
  EXPECTED_RESULTS: [[task, metric, 1.0, 0.5]]
"""
YAML = (
    *("!!python/object/apply:os.system [touch ran]", "!!python/name:os.system", "!!binary aGk=", "!x", "&a x", "*a"),
    *(
        "<<: {A: 1}",
        "- x",
        "? x",
        "? - ? -",
        "{",
        "}",
        "[",
        "]",
        "|",
        ">-",
        "|9",
        "---",
        "...",
        "%YAML 1.1",
        "%TAG ! x",
    ),
    *("%YAML 1." + "1" * 5000, '"\\UFFFFFFFF"', '"\\U00110000"', '"\\ud800"', '"\\0"', '"\\x1b"', "''", "'", '"'),
    *("_BASE_: x.yaml", "_BASE_: [x.yaml, base.yaml]", "_BASE_: .", "_BASE_: ../file", "_BASE_: /dev/zero"),
    *("_BASE_: loop", '_BASE_: "\\ud800"', "_BASE_: " + "n" * 300, "_BASE_: pipe", "_BASE_: ~nobody/x", "_BASE_: 3"),
    *("9" * 5000, "0x" + "f" * 9000, "1e999", "-.inf", ".nan", "1_000", "012", "1:30", "2024-01-01", "(1, 2", "(" * 90),
    *("[" * 70, "{a: " * 70, "- " * 70, "((((((1,),),),),),)", "(__import__('os').system('touch ran'),)", "k" * 2000),
    *("3", "0.5", "true", "x", "[1, 2]", "[]", "''", "null", "(1, 2)", "'3'", "7 # seven") * 6,
    *("SOLVER: 3", "SOLVER: {STEPS: {a: 1}}", "UNKNOWN: 1", "A.B: 1", "'': 1", "__class__: x", "COMPUTED_X: 1", "\t"),
)
VALUES = (
    *(
        "3",
        "-1",
        "1e-3",
        "1e999",
        "nan",
        "None",
        "null",
        "true",
        "~",
        "''",
        '"x"',
        "[1, 2]",
        "(1, 2)",
        "['a']",
        "{'a': 1}",
    ),
    *(
        "__import__('os').system('touch ran')",
        "[" * 400,
        "-" * 9000 + "1",
        "1+" * 4000 + "1",
        "9" * 5000,
        "0x" + "f" * 9000,
    ),
    *(
        "{1: 2}",
        "{'a': {'b.c': 1}}",
        "b'x'",
        "1j",
        "...",
        "lambda: 0",
        "(" * 99 + ")" * 99,
        "\ud800",
        "\0",
        "f'{1}'",
        "'\\ud800'",
    ),
)
ENDS = ("", ".", "..x", ".x.y", "=", "=3", "=1=2", ".a" * 50, ".a" * 5000, "\0", "__class__", "\ud800")
ERRORS = (ConfigError, WrongTypeError, UnknownKeyError)


def prepare_config(folder: Path, rng: np.random.Generator) -> Callable[[], object]:
    """Write a mutated config file, with files beside it that its mutated `_BASE_` may lead to."""
    file = folder / "x.yaml"
    match rng.integers(4):
        case 0:
            file.write_bytes(mutate_text(SEED, rng, YAML).encode(errors="surrogatepass"))
        case 1:
            file.write_bytes(mutate_bytes(SEED.encode(), rng))
        case _:
            file.write_text(_with_other_value(SEED, rng))
    base = "SEED: 3\nSOLVER: {MAX_ITER: 7}\n"
    (folder / "base.yaml").write_text(
        mutate_text(base, rng, ("_BASE_: x.yaml", "a", "{}")) if rng.random() < 0.2 else base
    )
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    return lambda: _merge(lambda cfg: cfg.merge_from_file(file), folder, str(folder), rng.random() < 0.3)


def _with_other_value(text: str, rng: np.random.Generator) -> str:
    """Return the text with another value in one of its lines, or another line before it."""
    lines = text.split("\n")
    index = pick([index for index, line in enumerate(lines) if ": " in line], rng)
    value = pick(YAML, rng)
    if ": " in value and rng.random() < 0.5:
        lines.insert(index, " " * (len(lines[index]) - len(lines[index].lstrip())) + value)
    else:
        lines[index] = f"{lines[index].partition(': ')[0]}: {value}"
    return "\n".join(lines)


def prepare_overrides(folder: Path, rng: np.random.Generator) -> Callable[[], object]:
    """Return the merge of a list of mutated overrides."""
    opts = []
    for _ in range(rng.integers(1, 4)):
        key = pick(keys(SCHEMA), rng)
        value = _default(key) if rng.random() < 0.5 else pick(VALUES, rng)
        if rng.random() < 0.2:
            key += pick(ENDS, rng)
        if rng.random() < 0.3:
            value = mutate_text(value, rng, VALUES)
        if rng.random() < 0.1:
            key = mutate_text(key, rng, VALUES)
        opts += [f"{key}={value}"] if rng.random() < 0.3 else [key, value]
    if rng.random() < 0.2:
        opts.append(odd_text(rng))
    return lambda: _merge(lambda cfg: cfg.merge_from_list(opts), folder, "command line", rng.random() < 0.3)


def _merge(merge: Callable[[CfgNode], None], folder: Path, source: str, dumps: bool) -> None:
    cfg = SCHEMA.clone()
    try:
        merge(cfg)
    except Exception as error:
        assert cfg == SCHEMA, "a merge that failed changed the config"
        assert source in str(error), f"the error does not say where: {error}"
        raise
    assert_fits(cfg, SCHEMA)
    if dumps:
        (folder / "dump.yaml").write_text(cfg.dump())
        again = SCHEMA.clone()
        again.merge_from_file(folder / "dump.yaml")
        assert diff_configs(cfg, again) == [], "the config is not what it was after dump and load"


def assert_fits(cfg: CfgNode, schema: CfgNode) -> None:
    """Check that the config has the schema's keys, and values of their types."""
    assert schema.is_new_allowed() or cfg.keys() == schema.keys()
    for key, default in schema.items():
        value, expected = cfg[key], schema.expected_type(key)
        if isinstance(default, CfgNode):
            assert isinstance(value, CfgNode), key
            assert_fits(value, default)
        else:
            assert expected is NoneType or type(value) is expected or (value is None and schema.takes_none(key)), key


def _default(key: str) -> str:
    node: Any = SCHEMA
    for part in key.split("."):
        node = node[part]
    return repr(node)


def keys(node: CfgNode, prefix: str = "") -> list[str]:
    """Return the dotted names of all keys."""
    below = [
        name for key, value in node.items() if isinstance(value, CfgNode) for name in keys(value, f"{prefix}{key}.")
    ]
    return [prefix + key for key in node] + below


CONFIG = Kind("config file", (*ERRORS, FileNotFoundError, IsADirectoryError, OSError), prepare_config, weight=3)
OVERRIDES = Kind("overrides", ERRORS, prepare_overrides, weight=3)
