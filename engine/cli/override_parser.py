"""A command line of flags and KEY VALUE pairs, in any order."""

import argparse
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

HELP = "settings that override the config file, as pairs, also KEY=VALUE; flags may come before, between and after them"


class OverrideParser(argparse.ArgumentParser):
    """Accepts KEY VALUE pairs in addition to its flags, and returns them as the list `opts`.

    argparse alone reads a value such as ``-5.`` or ``-1e-3`` as a flag, and fails at a flag between two pairs. Here,
    the argument after a KEY is its value, in any form, unless it is a flag of this parser.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_argument("opts", nargs="*", metavar="KEY VALUE", help=HELP)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the flags like argparse, and the pairs as the class describes."""
        flags, opts = self._split(list(sys.argv[1:] if args is None else args))
        parsed, unknown = super().parse_known_args(flags, namespace)
        assert parsed is not None
        parsed.opts = opts
        return parsed, unknown

    def _split(self, args: list[str]) -> tuple[list[str], list[str]]:
        """Return the flags with their values, and the pairs."""
        flags: list[str] = []
        opts: list[str] = []
        others = sum(1 for action in self._positionals._group_actions if action.dest != "opts")
        rest = deque(args)
        while rest:
            item = rest.popleft()
            action = self._flag(item)
            if action is not None:
                flags += [item, *([] if "=" in item else self._values(action, rest))]
            elif item.startswith("-") and item != "-":  # no flag of ours, and no key: argparse says so
                flags.append(item)
            elif others:  # positional arguments that a script has added come before the pairs
                others -= 1
                flags.append(item)
            else:
                opts.append(item)
                if "=" not in item and rest:
                    if self._flag(rest[0]) is not None:
                        self.error(f"{item} has no value: {rest[0]} is a flag")
                    opts.append(rest.popleft())
        return flags, opts

    def _flag(self, item: str) -> argparse.Action | None:
        """Return the flag that an item names, by its full name or by an unambiguous prefix."""
        name = item.partition("=")[0]
        if not name.startswith("-") or len(name) < 2:
            return None
        known = self._option_string_actions
        if name in known:
            return known[name]
        close = {id(action): action for flag, action in known.items() if name[:2] == "--" and flag.startswith(name)}
        return next(iter(close.values())) if len(close) == 1 else None

    def _values(self, action: argparse.Action, rest: deque[str]) -> list[str]:
        """Remove the values of a flag from the beginning of `rest` and return them."""
        count = 1 if action.nargs in (None, "?") else action.nargs if isinstance(action.nargs, int) else len(rest)
        ends_at_a_flag = not (action.nargs is None or isinstance(action.nargs, int))
        values: list[str] = []
        while rest and len(values) < count and not (ends_at_a_flag and self._flag(rest[0]) is not None):
            values.append(rest.popleft())
        return values
