"""Who may import whom: every import statement of the sources against the table of the house."""

from pathlib import Path

import pytest

from import_graph import ROOT, circles, module_imports, violations


def test_every_import_is_allowed() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        (
            "config/a.py",
            "import torch\nfrom steploop.engine import comm",
            "2: imports 'steploop.engine.comm'",
        ),
        ("config/a.py", "from ..engine import comm", "1: imports 'steploop.engine.comm'"),
        ("data/a.py", "def f():\n    from steploop.modeling import build", "2: imports 'steploop.modeling.build'"),
        ("modeling/a.py", "import steploop.data.loader", "1: imports 'steploop.data.loader'"),
        ("modeling/a.py", "from steploop import data", "1: imports 'steploop.data'"),
        ("engine/hooks/__init__.py", "from ...data import x", "1: imports 'steploop.data.x'"),
        ("engine/hooks/a.py", "class A:\n    def build_x(self):\n        import steploop.data", "3: imports"),
        ("engine/run/a.py", "from ..hooks import x", "1: imports 'steploop.engine.hooks.x'; the room run may import"),
        ("engine/hooks/a.py", "from .. import HookBase", "1: imports 'steploop.engine.HookBase', a name"),
        ("engine/solver/a.py", "if True:\n    from ..train_loop import T", "2: imports"),
        ("engine/a.py", "import importlib\nimportlib.import_module('steploop.projects.reid')", "2:"),
        ("engine/a.py", "from engine.comm import get_rank", "1: imports 'engine.comm.get_rank', a second copy"),
        ("engine/defaults/trainer.py", "import steploop.data", "1: imports 'steploop.data' outside of a build_*"),
        ("engine/defaults/trainer.py", "def build_x():\n    import steploop.projects.reid", "2:"),
        ("projects/reid/reid/a.py", "import steploop.projects.toy", "1:"),
        ("projects/reid/reid/data/a.py", "from ...toy import x", "1: imports 'steploop.projects.toy.x'"),
        ("projects/reid/train_net.py", "from reid.trainer import T", "1: imports 'reid.trainer.T'"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, path: str, source: str, expected: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    (found,) = violations(tmp_path)
    assert found.startswith(f"{path}:{expected}")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("engine/defaults/trainer.py", "class T:\n    def build_model(cls):\n        from steploop.modeling import x"),
        ("engine/hooks/__init__.py", "from ..train_loop import x\nfrom .timer import y\nfrom steploop.config import z"),
        ("projects/reid/reid/data/a.py", "from ..config import x\nfrom .items import y\nfrom steploop.data import z"),
        ("projects/reid/train_net.py", "from steploop.projects.reid import x\nimport data_of_another_library"),
    ],
)
def test_what_the_table_allows_is_not_reported(tmp_path: Path, path: str, source: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    assert violations(tmp_path) == []


def test_no_modules_import_each_other() -> None:
    assert circles(module_imports(ROOT)) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"a": "from .b import x", "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import y"},
            "ab",
        ),
        (
            {
                "a": "from .b import x",
                "b": "def f():\n    from steploop.config import c",
                "c": "import steploop.config.a",
            },
            "abc",
        ),
        ({"a": "from .b import x", "b": "from steploop.config import y", "__init__": "from .a import y"}, "ab"),
        ({"a": "from .b import x", "b": "from .c import x", "c": "", "__init__": "from .a import y as y"}, ""),
    ],
)
def test_a_circle_is_found(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    (tmp_path / "config").mkdir()
    for name, text in files.items():
        (tmp_path / f"config/{name}.py").write_text(text)
    found = [[name.removeprefix("steploop.config.") for name in circle] for circle in circles(module_imports(tmp_path))]
    assert found == ([list(expected)] if expected else [])
