"""Who may import whom: every import statement of the sources against the table of the house."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("config", "engine", "modeling", "data", "projects")

# Whose modules each part may import, beside its own. A project is a part of its own.
MAY_IMPORT = {
    "config": set(),
    "modeling": {"config"},
    "data": {"config"},
    "engine": {"config"},
    "projects": {"engine", "modeling", "data", "config"},
}
# What engine/defaults.py may import in addition, inside its build_* methods.
INSIDE_BUILDERS = {"modeling", "data"}


class Import(NamedTuple):
    """One imported name: its absolute dotted name, its line, and the functions around it, the outermost first."""

    target: str
    line: int
    functions: tuple[str, ...]


def module_name(path: Path) -> str:
    """Return the dotted name of a source file: engine/hooks/timer.py -> steploop.engine.hooks.timer.

    It keeps a last part "__init__", with which relative imports of a package resolve as those of a module do.
    """
    parts = path.with_suffix("").parts
    if parts[0] == "projects":  # projects/reid/reid/trainer.py -> steploop.projects.reid.trainer
        parts = (*parts[:2], *(parts[3:] if parts[1:2] == parts[2:3] else ()))
    return ".".join(("steploop", *parts))


def part_of(name: str) -> str:
    """Return the part that a module belongs to: "engine", ..., or "projects.reid"; "" for what is not ours."""
    parts = [*name.split("."), "", ""]
    if parts[0] != "steploop":
        return ""
    return f"projects.{parts[2]}" if parts[1] == "projects" else parts[1]


def imports(tree: ast.AST, module: str, functions: tuple[str, ...] = ()) -> Iterator[Import]:
    """Yield what a module imports anywhere in it, also by importlib.import_module("...")."""
    for node in ast.iter_child_nodes(tree):
        inner = (*functions, node.name) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else functions
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            targets = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            targets = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
        yield from (Import(target, getattr(node, "lineno", 0), functions) for target in targets)
        yield from imports(node, module, inner)


def problem(path: Path, found: Import) -> str | None:
    """Say what is wrong with one import, or None."""
    own = part_of(module_name(path))
    top = found.target.split(".")[0]
    if top in FOLDERS or (own.startswith("projects.") and top == own.removeprefix("projects.")):
        return f"imports {found.target!r}, a second copy; its name begins with steploop"
    part = part_of(found.target)
    allowed = MAY_IMPORT[own.split(".")[0]]
    if part in ("", own) or part in allowed:
        return None
    if path.as_posix() == "engine/defaults.py" and part in INSIDE_BUILDERS:
        if found.functions and found.functions[0].startswith("build_"):
            return None
        return f"imports {found.target!r} outside of a build_* method"
    return f"imports {found.target!r}; {own} may import {', '.join(sorted(allowed)) or 'nothing of ours'}"


def violations(root: Path) -> list[str]:
    """Return "file:line: what is wrong" for every import that the table does not allow."""
    return [
        f"{path.as_posix()}:{found.line}: {wrong}"
        for folder in FOLDERS
        for path in sorted(file.relative_to(root) for file in (root / folder).rglob("*.py"))
        for found in imports(ast.parse((root / path).read_text()), module_name(path))
        if (wrong := problem(path, found))
    ]


def test_every_import_is_allowed() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("config/a.py", "import torch\nfrom steploop.engine import comm", "2: imports 'steploop.engine.comm'"),
        ("config/a.py", "from ..engine import comm", "1: imports 'steploop.engine.comm'"),
        ("data/a.py", "def f():\n    from steploop.modeling import build", "2: imports 'steploop.modeling.build'"),
        ("modeling/a.py", "import steploop.data.loader", "1: imports 'steploop.data.loader'"),
        ("modeling/a.py", "from steploop import data", "1: imports 'steploop.data'"),
        ("engine/hooks/__init__.py", "from ...data import x", "1: imports 'steploop.data.x'"),
        ("engine/hooks/a.py", "class A:\n    def build_x(self):\n        import steploop.data", "3: imports"),
        ("engine/a.py", "import importlib\nimportlib.import_module('steploop.projects.reid')", "2:"),
        ("engine/a.py", "from engine.comm import get_rank", "1: imports 'engine.comm.get_rank', a second copy"),
        ("engine/defaults.py", "import steploop.data", "1: imports 'steploop.data' outside of a build_*"),
        ("engine/defaults.py", "def build_x():\n    import steploop.projects.reid", "2:"),
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
        ("engine/defaults.py", "class T:\n    def build_model(cls):\n        from steploop.modeling import x"),
        ("engine/hooks/__init__.py", "from ..events import x\nfrom .timer import y\nfrom steploop.config import z"),
        ("projects/reid/reid/data/a.py", "from ..config import x\nfrom .items import y\nfrom steploop.data import z"),
        ("projects/reid/train_net.py", "from steploop.projects.reid import x\nimport data_of_another_library"),
    ],
)
def test_what_the_table_allows_is_not_reported(tmp_path: Path, path: str, source: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    assert violations(tmp_path) == []
