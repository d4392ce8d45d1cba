"""Which part declares each key of a config, and which part reads it.

Run as `python tests/support/config_keys.py`: it prints both for every key.

Keys are found in the sources, without running them. What names a key:

- an attribute or a constant subscript of the config: ``cfg.SOLVER.BASE_LR``, ``self.cfg.SOLVER["BASE_LR"]``. The
  config is what is called ``cfg``, or what `get_cfg`, ``clone`` or ``changed`` return;
- the same of a section that was assigned in that function, ``solver = cfg.SOLVER``, or is a parameter with the
  section's name, ``def f(solver: CfgNode)``;
- a subscript that is no constant, ``cfg.SOLVER[name]``: the keys of that section whose names are strings in that file;
- the items of a section, ``cfg.SOLVER.items()``: all of its keys;
- the whole dotted name as an item of a dict, list or tuple: ``cfg.changed(**{"SOLVER.BASE_LR": 0.1})``.
"""

import ast
import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from import_graph import FOLDERS, ROOT, module_name, part_of
from steploop.config import CfgNode, get_cfg
from steploop.data import add_sampler_config
from steploop.modeling import add_backbone_config

# Whose keys each part may read, beside its own; a project reads those of every part that it composes.
MAY_READ = {"config": (), "engine": (), "modeling": ("engine",), "data": ("engine",)}
SHARED = ("engine", "modeling", "data")
# For which parts a key is declared. The engine's builders hand the config to modeling and data, and a project composes
# what those two declare for more than one.
READERS = {"engine": SHARED, "modeling": ("modeling", "projects"), "data": ("data", "projects")}
_CONFIGS = {"get_cfg", "build_default_config", "clone", "changed"}


class Use(NamedTuple):
    """A key that a source file names; the key is that of a section where the whole section is taken."""

    key: str
    file: str
    line: int


def declared() -> dict[str, list[str]]:
    """Return {dotted key: the parts that declare it}; only projects, which do not know each other, may be several."""
    adders: list[tuple[str, Callable[[CfgNode], None]]] = [
        ("modeling", add_backbone_config),
        ("data", add_sampler_config),
        *project_adders(),
    ]
    found = {key: ["engine"] for key in _keys(get_cfg())}
    for part, add in adders:
        cfg = get_cfg()
        add(cfg)
        for key in _keys(cfg):
            owners = found.setdefault(key, [])
            if part not in owners and not set(owners) & set(SHARED):
                owners.append(part)
    return found


def project_adders() -> Iterator[tuple[str, Callable[[CfgNode], None]]]:
    """Yield (part, function) for each function add_..._config of a project's module config."""
    for file in sorted(ROOT.glob("projects/*/*/config.py")):
        module = importlib.import_module(module_name(file.relative_to(ROOT)))
        for name, value in vars(module).items():
            if name.startswith("add_") and name.endswith("_config") and value.__module__ == module.__name__:
                yield part_of(module.__name__), value


def _keys(node: CfgNode, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all values, and of sections that take new keys."""
    for key, value in node.items():
        if not isinstance(value, CfgNode) or value.is_new_allowed():
            yield prefix + key
        else:
            yield from _keys(value, f"{prefix}{key}.")


def uses(root: Path, keys: Mapping[str, Any]) -> list[Use]:
    """Return what the sources below `root` name of a config whose keys are `keys`."""
    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            reader = _Reader(path.relative_to(root).as_posix(), keys)
            reader.read(ast.parse(path.read_text()))
            found += reader.found
    return found


class _Reader:
    """Walks through one file; `scope` has the path of each name that stands for a section."""

    def __init__(self, file: str, keys: Mapping[str, Any]) -> None:
        self.file = file
        self.found: list[Use] = []
        self._keys = keys
        sections = {tuple(key.split(".")[:depth]) for key in keys for depth in range(1, key.count(".") + 1)}
        self._sections = {path[-1].lower(): path for path in sorted(sections, key=len, reverse=True)}

    def read(self, tree: ast.Module) -> None:
        self._strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        self._visit(tree, {"cfg": ()})

    def _visit(self, node: ast.AST, scope: dict[str, tuple[str, ...]]) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            scope = {name: path for name, path in scope.items() if name not in {each.arg for each in arguments}}
            scope |= {each.arg: self._parameter(each) for each in arguments if _is_config(each)}
        elif isinstance(node, ast.Assign):
            self._assign(node, scope)
        elif isinstance(node, ast.Dict | ast.List | ast.Tuple):
            items = [*node.keys, *node.values] if isinstance(node, ast.Dict) else node.elts
            for item in items:
                if isinstance(item, ast.Constant) and item.value in self._keys:
                    self._add(item.value.split("."), item)
        self._add_items(node, scope)
        path = self._path(node, scope)
        if path is not None:
            if isinstance(getattr(node, "ctx", None), ast.Load):
                self._add(path, node)
            while isinstance(node, ast.Attribute | ast.Subscript):  # its beginning is no use of its own
                for child in ast.iter_child_nodes(node):
                    if child is not node.value:
                        self._visit(child, scope)
                node = node.value
        for child in ast.iter_child_nodes(node):
            self._visit(child, scope)

    def _add_items(self, node: ast.AST, scope: dict[str, tuple[str, ...]]) -> None:
        """Add every key of a section whose items are taken: ``cfg.MODEL.WEIGHTS_OF.items()``."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "items":
            path = self._path(node.func.value, scope)
            if path:
                prefix = ".".join(path) + "."
                self.found += [Use(key, self.file, node.lineno) for key in self._keys if key.startswith(prefix)]

    def _parameter(self, argument: ast.arg) -> tuple[str, ...]:
        if argument.arg == "cfg":
            return ()
        if argument.arg not in self._sections:
            raise ValueError(
                f"{self.file}:{argument.lineno}: nothing tells which section {argument.arg!r} is: take the whole cfg, "
                "or name it as the section, such as solver"
            )
        return self._sections[argument.arg]

    def _assign(self, node: ast.Assign, scope: dict[str, tuple[str, ...]]) -> None:
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts))
            for name, value in pairs:
                path = self._path(value, scope)
                if isinstance(name, ast.Name) and path is not None:
                    scope[name.id] = path

    def _path(self, node: ast.AST, scope: dict[str, tuple[str, ...]]) -> tuple[str, ...] | None:
        """Return the path of the section or key that an expression stands for; "*" is a part that is no constant."""
        if isinstance(node, ast.Name):
            return scope.get(node.id)
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            return () if name in _CONFIGS else None
        if isinstance(node, ast.Attribute):
            base = self._path(node.value, scope)
            if base is not None and node.attr.isupper():
                return (*base, node.attr)
            return () if node.attr == "cfg" else None
        if isinstance(node, ast.Subscript):
            base = self._path(node.value, scope)
            part = node.slice.value if isinstance(node.slice, ast.Constant) else "*"
            return (*base, part) if base is not None and (part == "*" or str(part).isupper()) else None
        return None

    def _add(self, path: Any, node: ast.AST) -> None:
        """Add the use of a path. What lies in a value, such as cfg.SOLVER.STEPS[0], is a use of that value."""
        for key in self._matching(tuple(path)):
            self.found.append(Use(key, self.file, node.lineno))

    def _matching(self, path: tuple[str, ...]) -> list[str]:
        for depth in reversed(range(len(path))):  # the longest: two projects may use a name as a key and as a section
            if ".".join(path[: depth + 1]) in self._keys:
                return [".".join(path[: depth + 1])]
        if "*" not in path:
            return [".".join(path)] if path else []
        return [
            key
            for key in self._keys
            if len(parts := key.split(".")) == len(path)
            and all(want in (part, "*") for want, part in zip(path, parts))
            and all(part in self._strings for want, part in zip(path, parts) if want == "*")
        ]


def _is_config(argument: ast.arg) -> bool:
    annotation = ast.unparse(argument.annotation) if argument.annotation else ""
    return argument.arg == "cfg" or annotation in ("CfgNode", "CN")


def problems(root: Path, keys: Mapping[str, list[str]]) -> list[str]:
    """Return what is wrong: keys that no part reads for which they are declared, and reads of keys of another part."""
    found = uses(root, keys)
    readers: dict[str, set[str]] = {}
    wrong = []
    for use in found:
        part = part_of(module_name(Path(use.file)))
        readers.setdefault(use.key, set()).add(part)
        if any(key.startswith(f"{use.key}.") for key in keys):
            continue  # a section; what is read of it is a use of its own
        owners = keys.get(use.key, [])
        if not set(owners) & {part, *(SHARED if part.startswith("projects") else MAY_READ[part])}:
            who = f"{' and '.join(owners)} declares" if owners else "no part declares"
            wrong.append(f"{use.file}:{use.line}: {part} reads {use.key}, which {who}")
    for key, owner in ((key, owner) for key, owners in keys.items() for owner in owners):
        allowed = READERS.get(owner, (owner,))
        if not any(part in allowed or part.split(".")[0] in allowed for part in readers.get(key, ())):
            wrong.append(f"{key}: {owner} declares it, and nothing in {', '.join(allowed)} reads it")
    return wrong


def main() -> None:
    """Print a table of all keys, and what is wrong with them."""
    from tabulate import tabulate

    keys = declared()
    readers: dict[str, set[str]] = {}
    for use in uses(ROOT, keys):
        readers.setdefault(use.key, set()).add(part_of(module_name(Path(use.file))))
    rows = [(key, ", ".join(owners), ", ".join(sorted(readers.get(key, ())))) for key, owners in keys.items()]
    print(tabulate(rows, headers=("key", "declared by", "read by"), tablefmt="github"))
    print("\n".join(["", *(problems(ROOT, keys) or ["every key is read by the part that it is declared for"])]))


if __name__ == "__main__":
    main()
