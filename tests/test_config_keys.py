"""Every key of a config is read by the part that declares it, and no part reads the key of another."""

from pathlib import Path

import pytest

from config_keys import declared, problems, uses
from import_graph import ROOT

KEYS = {
    "SEED": ["engine"],
    "SOLVER.LR": ["engine"],
    "SOLVER.STEPS": ["engine"],
    "MODEL.WIDTH": ["modeling"],
    "INPUT.SIZE": ["projects.reid", "projects.toy"],
}
READS = {
    "engine/a.py": "def f(cfg): return cfg.SEED, cfg.SOLVER.LR, cfg.SOLVER.STEPS[0]",
    "modeling/a.py": "def f(cfg): return cfg.MODEL.WIDTH",
    "projects/reid/reid/a.py": "class A:\n    def f(self): return self.cfg.INPUT.SIZE",
    "projects/toy/toy/a.py": "def f(cfg: CfgNode): return cfg.INPUT.SIZE",
}


def house(folder: Path, **changes: str) -> Path:
    for path, text in {**READS, **changes}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_every_key_is_read_by_the_part_that_declares_it() -> None:
    assert problems(ROOT, declared()) == []


def test_a_key_that_nobody_reads_is_found() -> None:
    dead = {"VIS_PERIOD": ["engine"], "SOLVER.DEAD": ["engine"], "MODEL.BACKBONE.DEAD": ["modeling"]}
    assert problems(ROOT, {**declared(), **dead}) == [
        "VIS_PERIOD: engine declares it, and nothing in engine, modeling, data reads it",
        "SOLVER.DEAD: engine declares it, and nothing in engine, modeling, data reads it",
        "MODEL.BACKBONE.DEAD: modeling declares it, and nothing in modeling, projects reads it",
    ]


def test_a_small_house_without_a_fault(tmp_path: Path) -> None:
    assert problems(house(tmp_path), KEYS) == []


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            "engine/b.py",
            "def f(cfg): cfg.MODEL.WIDTH",
            "engine/b.py:1: engine reads MODEL.WIDTH, which modeling declares",
        ),
        ("data/a.py", "def f(cfg): cfg.SOLVER.RL", "data/a.py:1: data reads SOLVER.RL, which no part declares"),
        ("projects/toy/toy/a.py", "", "INPUT.SIZE: projects.toy declares it, and nothing in projects.toy reads it"),
        ("modeling/a.py", "def f(cfg): cfg.MODEL.WIDTH = 3", "MODEL.WIDTH: modeling declares it, and nothing in"),
        ("modeling/a.py", "def f(other): other.MODEL.WIDTH", "MODEL.WIDTH: modeling declares it, and nothing in"),
    ],
)
def test_what_is_not_as_declared_is_found(tmp_path: Path, path: str, text: str, expected: str) -> None:
    (found,) = problems(house(tmp_path, **{path: text}), KEYS)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    "text",
    [
        "solver = cfg.SOLVER\nsolver.LR",
        "a, solver = 1, cfg.clone().SOLVER\nsolver['LR']",
        "def f(solver: CfgNode): return solver.LR",
        "class A:\n    def f(self): return lambda: self.trainer.cfg.SOLVER.LR",
        "NAMES = ('LR',)\nfor name in NAMES: cfg.SOLVER[name]",
        "cfg.changed(**{'SOLVER.LR': 1})",
    ],
)
def test_each_way_to_name_a_key(tmp_path: Path, text: str) -> None:
    assert {use.key for use in uses(house(tmp_path, **{"engine/a.py": text}), KEYS) if use.file == "engine/a.py"} >= {
        "SOLVER.LR"
    }


def test_a_section_under_another_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="engine/b.py:1: nothing tells which section 'options' is"):
        uses(house(tmp_path, **{"engine/b.py": "def f(options: CfgNode): return options.LR"}), KEYS)
