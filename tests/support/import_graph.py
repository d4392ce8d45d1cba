"""Who imports whom: the table of the house, every import statement of the sources, and a drawing of both.

Run as `python tests/support/import_graph.py`: it prints the tree of engine/, the imports between its rooms and between
the parts, and every import that the table forbids.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("config", "engine", "modeling", "data", "projects")

# Whose modules each part may import, beside its own. A project is a part of its own.
MAY_IMPORT = {
    "config": set(),
    "modeling": {"config"},
    "data": {"config"},
    "engine": {"config"},
    "projects": {"engine", "modeling", "data", "config"},
}
# The rooms of engine/ in the order in which they build on each other: each may import those before it, and itself.
ROOMS = (
    "distributed", "run", "metrics", "checkpoint", "solver", "evaluation", "train_loop", "simple_trainer", "hooks",
    "defaults", "cli",
)  # fmt: skip
# What these may import in addition, inside functions and methods whose names begin with build_.
BUILDERS = ("engine/defaults/trainer.py", "engine/defaults/config.py")
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
    if part == own == "engine" and (wrong := room_problem(path, found.target)):
        return wrong
    allowed = MAY_IMPORT[own.split(".")[0]]
    if part in ("", own) or part in allowed:
        return None
    if path.as_posix() in BUILDERS and part in INSIDE_BUILDERS:
        if found.functions and found.functions[0].startswith("build_"):
            return None
        return f"imports {found.target!r} outside of a build_* function"
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


def room_of(name: str) -> str:
    """Return the room of engine/ that a dotted name belongs to; "" for what the package itself offers."""
    parts = [*name.split("."), "", ""]
    return parts[2] if parts[:2] == ["steploop", "engine"] and parts[2] in ROOMS else ""


def room_problem(path: Path, target: str) -> str | None:
    """Return what is wrong with an import inside engine/, or None."""
    own, room = room_of(module_name(path)), room_of(target)
    if not own:  # engine/__init__.py collects the public names
        return None
    if not room:
        return f"imports {target!r}, a name that engine/__init__.py collects; import it from its room"
    if ROOMS.index(room) > ROOMS.index(own):
        return f"imports {target!r}; the room {own} may import {', '.join(ROOMS[: ROOMS.index(own)]) or 'no other'}"
    return None


def module_imports(root: Path) -> dict[str, set[str]]:
    """Return {module: the modules of ours that it imports}, wherever it does: in a function or for types only too.

    A name of a package counts as an import of the module that defines it, found through the packages' own imports: a
    public name is collected in the ``__init__.py`` of its part, which would close a circle with everything in it.
    """
    files = {
        module_name(path): path
        for folder in FOLDERS
        for path in sorted(file.relative_to(root) for file in (root / folder).rglob("*.py"))
    }
    parsed = {name: list(imports(ast.parse((root / path).read_text()), name)) for name, path in files.items()}

    def module_of(target: str) -> str:
        if target in files:
            return target
        if f"{target}.__init__" in files:
            return f"{target}.__init__"
        package, _, name = target.rpartition(".")
        if package in files:
            return package
        for found in parsed.get(f"{package}.__init__", ()):
            if found.target.rpartition(".")[2] == name and found.target != target:
                return module_of(found.target)
        return f"{package}.__init__" if f"{package}.__init__" in files else ""

    return {
        name: {module for found in parsed[name] if (module := module_of(found.target)) not in ("", name)}
        for name in files
    }


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return each group of modules that import each other, directly or through others, sorted (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = lowest[name] = len(index)
        stack.append(name)
        for target in sorted(graph.get(name, ())):
            if target not in index:
                visit(target)
            if target in stack:
                lowest[name] = min(lowest[name], lowest[target])
        if lowest[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return sorted(found)


def edges(root: Path) -> dict[str, set[str]]:
    """Return {part or room: the parts and rooms that it imports}."""
    found: dict[str, set[str]] = {}
    for folder in FOLDERS:
        for path in sorted(file.relative_to(root) for file in (root / folder).rglob("*.py")):
            name = module_name(path)
            own = room_of(name) or part_of(name)
            for each in imports(ast.parse((root / path).read_text()), name):
                target = room_of(each.target) or part_of(each.target)
                if target and target != own:
                    found.setdefault(own, set()).add(target)
    return found


def main() -> None:
    """Print the tree of engine/, who imports whom, and what is forbidden."""
    for entry in sorted((ROOT / "engine").iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if entry.suffix == ".py":
            print(f"engine/{entry.name}")
        elif entry.is_dir() and entry.name != "__pycache__":
            files = sorted(path.relative_to(entry).with_suffix("").as_posix() for path in entry.rglob("*.py"))
            print(f"engine/{entry.name + '/':16} {' '.join(name for name in files if not name.endswith('__init__'))}")
    print()
    graph = edges(ROOT)
    for own in (*FOLDERS[:1], *ROOMS, *sorted(set(graph) - set(ROOMS) - {"config"})):
        targets = sorted(graph.get(own, ()), key=lambda name: (name in ROOMS, name))
        print(f"{own:20} -> {', '.join(targets) or 'nothing of ours'}")
    print("\n".join(["", *violations(ROOT)]) if violations(ROOT) else "\nevery import is allowed")
    for circle in circles(module_imports(ROOT)):
        print("a circle of imports:", ", ".join(circle))


if __name__ == "__main__":
    main()
