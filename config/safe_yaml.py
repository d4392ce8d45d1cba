"""Reads YAML from untrusted sources: plain data only, with time and memory bounded by the size of the file."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.reader import ReaderError
from yaml.scanner import ScannerError

from .errors import ConfigError
from .scalars import PLAIN, problem_with

MAX_BYTES = 2**20
MAX_DEPTH = 64

Lines = dict[tuple[str, ...], int]
_PARSE = {plain.tag: plain.parse for plain in PLAIN}


def load_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the mapping in a YAML file, as dict, list, tuple, str, int, float, bool and None.

    It differs from YAML 1.1: ``3e-4`` is a float, ``(10, 20)`` a tuple, ``None`` null; and yes, no, on, off, 012, 1:30
    and 2024-01-01 are strings.

    Raises:
        ConfigError: (a ValueError) for a tag, an anchor, an alias, a key given twice or that is no string, a file that
            is no mapping, is larger than 1 MiB, is nested more than 64 levels deep, or is not UTF-8 text; and for a
            pipe or a device. It names the file, the line and the remedy.
        FileNotFoundError, IsADirectoryError: there is no such file.
        OSError: the system cannot read it.
    """
    return read_yaml(path)[0]


def read_yaml(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Lines]:
    """Return the result of `load_yaml`, and the line (from 1) of each key by its path: ("SOLVER", "BASE_LR")."""
    file = expand(path)
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected a YAML file, but this is a folder", str(file))
    if not file.exists():
        raise FileNotFoundError(errno.ENOENT, f"there is no such YAML file (looked from {Path.cwd()})", str(file))
    if not file.is_file():  # reading a pipe may block without end
        raise ConfigError(f"{file}: expected a file, but this is a pipe or a device; save what it gives as a file")
    with file.open("rb") as stream:
        raw = stream.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{file}: larger than the {MAX_BYTES:,} bytes that a config may have; is it the right file?")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = raw.count(b"\n", 0, err.start) + 1
        raise ConfigError(f"{file}:{line}: not UTF-8 text (byte {err.start}); save the file as UTF-8") from None
    return parse_yaml(text, str(file))


def expand(path: str | os.PathLike[str]) -> Path:
    """Return `path` with a leading ``~`` expanded; unchanged if there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  Path.expanduser raises RuntimeError for an unknown user


def parse_yaml(text: str, name: str) -> tuple[dict[str, Any], Lines]:
    """Return the mapping in `text` and the line of each key; `name` is the file's name in errors."""
    lines: Lines = {}
    try:
        root = _Loader(text).get_single_node()
        if not isinstance(root, yaml.MappingNode):
            found = "nothing" if root is None else "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
            raise ConfigError(f"{name}:1: expected a mapping (KEY: value), found {found}; write {{}} to change nothing")
        return _plain(root, (), lines), lines
    except ReaderError as err:
        line = text.count("\n", 0, err.position) + 1
        raise ConfigError(
            f"{name}:{line}: the character U+{ord(text[err.position]):04X} is not allowed in YAML; remove it, or write "
            'it as an escape in double quotes ("\\0")'
        ) from None
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        context = f"{err.context}, " if err.context else ""
        raise ConfigError(f"{where}: {context}{err.problem}") from None


def dump_yaml(values: Mapping[str, Any], **kwargs: Any) -> str:
    """Return plain data as YAML that `load_yaml` reads back; a tuple is written as a list.

    Strings are quoted if this loader or YAML 1.1 would read them as another type. Keyword arguments are those of
    `yaml.dump`.
    """
    text: str = yaml.dump(values, Dumper=_Dumper, **kwargs)
    return text


class _Loader(yaml.SafeLoader):
    """Rejects tags (which can name code), aliases (which can grow without limit) and deep nesting, before expansion."""

    yaml_implicit_resolvers = {}
    depth = 0

    def fetch_more_tokens(self) -> None:
        try:
            super().fetch_more_tokens()
        except (ValueError, OverflowError):  # from int() and chr(), which the scanner calls for these two
            problem = "the number after %YAML, or after \\U in double quotes, is too large"
            raise ScannerError(None, None, problem, self.get_mark()) from None

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise _refused(event, f"anchors and aliases ({sign}{event.anchor}) are not allowed; write the value out")
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise _refused(
                event, f"tags ({tag}) are not allowed; write plain data, and text that starts with ! in quotes"
            )
        if self.depth >= MAX_DEPTH:
            raise _refused(event, f"nested more than {MAX_DEPTH} levels deep; make it flatter")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # a list used twice is written twice


for _form in PLAIN:
    _Loader.add_implicit_resolver(_form.tag, _form.pattern, None)
    _Dumper.add_implicit_resolver(_form.tag, _form.pattern, None)


def _refused(place: Any, problem: str) -> ComposerError:
    return ComposerError(None, None, problem, place.start_mark)


def _plain(node: yaml.Node, path: tuple[str, ...], lines: Lines) -> Any:
    """Return a node as plain data and note the lines of its keys; the recursion is bounded by MAX_DEPTH."""
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, str(i)), lines) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag in _PARSE:
            text = f" {key_node.value!r:.80}" if isinstance(key_node, yaml.ScalarNode) else ""
            raise _refused(key_node, f"the key{text} is not a string; put it in quotes")
        here = (*path, key_node.value)
        if key_node.value in mapping:
            raise _refused(key_node, f"the key {key_node.value} was given before, in line {lines[here]}; remove one")
        lines[here] = key_node.start_mark.line + 1
        mapping[key_node.value] = _plain(value_node, here, lines)
    return mapping


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag not in _PARSE:
        return node.value
    try:
        value = _PARSE[node.tag](node.value)
    except ValueError:  # Python reads no int of more than 4,300 digits
        raise _refused(node, "a number of too many digits; put it in quotes if it is text") from None
    problem = problem_with(value)
    if problem:
        raise _refused(node, f"the value is {problem}; put it in quotes if it is text")
    return value
