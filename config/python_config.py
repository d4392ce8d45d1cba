"""Reads the Python config files of MMDetection 2.x, MMAction2 0.x and their relatives; nothing in them is executed."""

import ast
import errno
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigError, show
from .python_values import MAX_DEPTH, Evaluator
from .safe_yaml import MAX_BYTES, expand

BASE_KEY = "_base_"
DELETE_KEY = "_delete_"
MAX_CHAIN = 16
MAX_FILES = 64
# Values of the whole config, each as often as it is written out.
MAX_VALUES = 200_000
# {{ $NAME:default }} outside of a string is no Python; in quotes it is.
_BARE_VARIABLE = re.compile(r"(?<=[=(\[,:])(\s*)\{\{\s*(\$\w+\s*:[^{}'\"\n]*)\}\}")


def load_python_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what such a file and its ``_base_`` files define: dict, list, tuple, str, int, float, bool and None.

    The file is parsed, and its assignments are computed by `Evaluator`: an import, an attribute or any call but a few
    harmless ones is refused. A dict of the file is merged into its base's, any other value replaces it; a dict with
    ``_delete_=True`` replaces, too. ``{{ fileDirname }}``, ``{{ fileBasename }}``, ``{{ fileBasenameNoExtension }}``,
    ``{{ fileExtname }}``, ``{{ _base_.key }}`` and ``{{ $NAME:default }}`` are filled in.

    Raises:
        ConfigError: (a ValueError) what the file may not hold; two bases that define the same key; a circle of bases,
            more than 16 of them in a row or more than 64 files; a dict merged over something that is no dict; or more
            values than the bounds allow. It names the file, the line and what is accepted.
        FileNotFoundError, IsADirectoryError: there is no such file.
    """
    return _Reader().read(expand(path), ())


def merge_into(base: Mapping[str, Any], changes: Mapping[str, Any], source: str, *, lists: bool = False) -> Any:
    """Return `base` with `changes` merged in, as mmcv does: dicts recursively, any other value replaces.

    Args:
        source: names where the changes come from, in errors.
        lists: whether a key such as "0" changes that element of a list.

    Raises:
        ConfigError: a dict is merged over something that is no dict, or a list has no such element.
    """
    return _merge(base, changes, source, (), lists)


class _Reader:
    """Follows `_base_` from file to file and counts the files."""

    def __init__(self) -> None:
        self._files = 0

    def read(self, file: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
        link = (*chain, file)
        arrows = " -> ".join(map(str, link))
        if os.path.realpath(file) in map(os.path.realpath, chain):
            raise ConfigError(f"{BASE_KEY} runs in a circle: {arrows}; remove one of the links")
        if len(link) > MAX_CHAIN:
            raise ConfigError(f"{BASE_KEY} is more than {MAX_CHAIN} files deep: {arrows}; merge some of them")
        self._files += 1
        if self._files > MAX_FILES:
            raise ConfigError(f"{link[0]}: {BASE_KEY} leads to more than {MAX_FILES} files; use fewer bases")
        module = _parse(file, chain)
        bases = [self.read(file.parent / expand(name), link) for name in _base_names(file, module)]
        base = _joined(file, bases)
        names = Evaluator(str(file), base).run(module)
        names.pop(BASE_KEY, None)
        return _copied(_merge(base, names, str(file), (), False), str(file))


def _parse(file: Path, chain: tuple[Path, ...]) -> ast.Module:
    text = _text(file, chain)
    try:
        return _syntax_tree(text)
    except SyntaxError:
        text = _BARE_VARIABLE.sub(r"\1{{'\2'}}", text)
    except (ValueError, MemoryError, RecursionError) as err:
        raise ConfigError(f"{file}: Python cannot parse it ({err}); is it a config file?") from None
    try:
        return _syntax_tree(text)
    except SyntaxError as err:
        raise ConfigError(f"{file}:{err.lineno or 1}: {err.msg}; is it a Python config file?") from None
    except (ValueError, MemoryError, RecursionError) as err:
        raise ConfigError(f"{file}: Python cannot parse it ({err}); is it a config file?") from None


def _syntax_tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a path such as "C:\data" is "an invalid escape sequence"
        return ast.parse(text)


def _text(file: Path, chain: tuple[Path, ...]) -> str:
    wanted_by = f"; {BASE_KEY} of {chain[-1]} names it" if chain else ""
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"expected a Python config file, not a folder{wanted_by}", str(file))
    if not file.exists():
        raise FileNotFoundError(errno.ENOENT, f"there is no such config file{wanted_by}", str(file))
    if not file.is_file():
        raise ConfigError(f"{file}: expected a file, but this is a pipe or a device; save what it gives as a file")
    with file.open("rb") as stream:
        raw = stream.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{file}: larger than the {MAX_BYTES:,} bytes that a config may have; is it the right file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = raw.count(b"\n", 0, err.start) + 1
        raise ConfigError(f"{file}:{line}: not UTF-8 text (byte {err.start}); save the file as UTF-8") from None


def _base_names(file: Path, module: ast.Module) -> list[str]:
    """Return the paths of the file's `_base_`, which is computed before the rest of the file."""
    for statement in module.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == BASE_KEY for target in targets):
            assert isinstance(statement, ast.Assign)
            value = Evaluator(str(file), {}).value(statement.value)
            names = list(value) if isinstance(value, list | tuple) else [value]
            if not all(isinstance(name, str) and name and "\0" not in name for name in names):
                line = statement.lineno
                raise ConfigError(f"{file}:{line}: {BASE_KEY} is a path or a list of paths; came {show(value)}")
            return names
    return []


def _joined(file: Path, bases: list[dict[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for base in bases:
        twice = sorted(joined.keys() & base.keys())
        if twice:
            raise ConfigError(f"{file}: two files of {BASE_KEY} define {', '.join(twice)}; remove it from one of them")
        joined.update(base)
    return joined


def _merge(base: Any, changes: Mapping[str, Any], source: str, path: tuple[str, ...], lists: bool) -> Any:
    if len(path) > MAX_DEPTH:
        raise ConfigError(f"{source}: {'.'.join(path):.80}... is nested more than {MAX_DEPTH} levels deep")
    result: Any = list(base) if isinstance(base, list) else dict(base)
    for key, value in changes.items():
        here = (*path, str(key))
        place = _place(result, key, source, here)
        if key == DELETE_KEY:
            continue
        known = isinstance(result, list) or place in result
        if isinstance(value, dict) and known and not value.get(DELETE_KEY):
            old = result[place]
            if not isinstance(old, dict) and not (lists and isinstance(old, list)):
                raise ConfigError(
                    f"{source}: {'.'.join(here)} is a dict and would be merged into {show(old)}; "
                    f"put {DELETE_KEY}=True into it to replace that"
                )
            result[place] = _merge(old, value, source, here, lists)
        elif isinstance(value, dict):
            result[place] = _merge({}, value, source, here, lists)
        else:
            result[place] = value
    return result


def _place(owner: Any, key: Any, source: str, path: tuple[str, ...]) -> Any:
    if not isinstance(owner, list):
        return key
    if not str(key).isdecimal() or int(key) >= len(owner):
        raise ConfigError(f"{source}: {'.'.join(path)}: the list has the elements 0 to {len(owner) - 1}")
    return int(key)


def _copied(value: Any, source: str) -> Any:
    """Return the value with every shared list and dict written out, so that changing one changes no other."""
    count = 0

    def copy(item: Any, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            bound = f"{MAX_VALUES:,} values" if count > MAX_VALUES else f"{MAX_DEPTH} levels"
            raise ConfigError(f"{source}: the config has more than {bound}; is a list put into itself?")
        if isinstance(item, dict):
            return {key: copy(each, depth + 1) for key, each in item.items()}
        if isinstance(item, list | tuple):
            return type(item)(copy(each, depth + 1) for each in item)
        return item

    return copy(value, 0)
