"""Fills in what stands in double braces in a Python config file: ``{{ fileDirname }}``, ``{{ _base_.a }}``, ..."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import show

# A value of the base may be as long as a string can be, and a text may name it often.
MAX_CHARACTERS = 1_000_000
_TEMPLATE = re.compile(r"\{\{\s*(?:_base_\.([\w.]+)|(\$?\w+)(?:\s*:\s*([^{}]*?))?)\s*\}\}")


class Templates:
    """The values of one file's templates.

    Args:
        file: the path of the file that is read.
        base: the merged config of its bases.
    """

    def __init__(self, file: str, base: Mapping[str, Any]) -> None:
        path = Path(os.path.abspath(file))  # noqa: PTH100  Path.resolve would follow links
        self._base = base
        self._names = {
            "fileDirname": str(path.parent),
            "fileBasename": path.name,
            "fileBasenameNoExtension": path.stem,
            "fileExtname": path.suffix,
        }

    def fill(self, text: str) -> Any:
        """Return the text with its templates filled in; a text that is one ``{{ _base_.key }}`` becomes that value.

        Raises:
            LookupError: the bases have no such key, a variable of the environment is not set and has no default, a
                value inside a text is no number or string, or the text becomes too long.
        """
        whole = _TEMPLATE.fullmatch(text.strip())
        if whole and whole[1]:
            return self._from_base(whole[1])
        parts: list[str] = []
        length = end = 0
        for match in _TEMPLATE.finditer(text):
            parts += [text[end : match.start()], self._substitute(match)]
            length, end = length + len(parts[-1]), match.end()
            if length > MAX_CHARACTERS:
                raise LookupError(f"with its templates filled in the text has more than {MAX_CHARACTERS:,} characters")
        return "".join([*parts, text[end:]])

    def _substitute(self, match: re.Match[str]) -> str:
        base_key, name, default = match.groups()
        if base_key:
            value = self._from_base(base_key)
            if not isinstance(value, str | int | float | None):
                raise LookupError(f"{match[0]} inside a string takes a number or a string; it is {show(value)}")
            return str(value)
        if not name.startswith("$"):
            return self._names.get(name, match[0])
        variable = os.environ.get(name[1:], default)
        if not variable:
            raise LookupError(f"{match[0]}: the environment variable {name[1:]} is not set and has no default")
        return variable

    def _from_base(self, dotted: str) -> Any:
        value: Any = self._base
        for part in dotted.split("."):
            try:
                value = value[int(part)] if isinstance(value, list | tuple) else value[part]
            except (LookupError, TypeError, ValueError):
                raise LookupError(f"_base_.{dotted}: the bases have no {part!r} there") from None
        return value
