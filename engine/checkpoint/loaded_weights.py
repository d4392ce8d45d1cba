"""Report of which entries of a weight file were loaded, with a table grouped by module."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

_MAX_ROWS = 50


@dataclass(frozen=True)
class LoadedWeights:
    """What `load_weights` did, by name.

    Counters of batch normalisation (``num_batches_tracked``) are in none of the lists: they are not learned, and files
    of other projects often lack them.

    Attributes:
        loaded: names of the model that were copied from the file.
        converted: those of `loaded` that have another name in the file.
        missing_keys: names that only the model has; they keep their initial (random) values.
        unexpected_keys: names that only the file has; they are skipped.
        incorrect_shapes: (name, shape in the file, shape in the model) where both have it with different shapes; they
            keep their initial values too.
    """

    loaded: list[str]
    converted: list[str]
    missing_keys: list[str]
    unexpected_keys: list[str]
    incorrect_shapes: list[tuple[str, tuple[int, ...], tuple[int, ...]]]

    @property
    def initial(self) -> list[str]:
        """Names of the model that keep their initial values."""
        return [*self.missing_keys, *(name for name, *_ in self.incorrect_shapes)]

    @property
    def share(self) -> float:
        """The share of the model's weights that was loaded, in 0..1; 1 if the model has none."""
        total = len(self.loaded) + len(self.initial)
        return len(self.loaded) / total if total else 1.0

    @property
    def is_exact(self) -> bool:
        """True if the model and the file have the same names and shapes."""
        return not (self.initial or self.unexpected_keys)

    def summary(self) -> str:
        """Return the numbers in one line: "Loaded 265 of 267 weights (99 %), 265 under converted names"."""
        total = len(self.loaded) + len(self.initial)
        # Rounded down, so that 100 % means all weights.
        counts = f"Loaded {len(self.loaded)} of {total} weights ({int(100 * self.share)} %)"
        return counts + (f", {len(self.converted)} under converted names" if self.converted else "")

    def table(self) -> str:
        """Return a table of the entries that were not loaded; names are grouped: `layer1.0.{bn1,bn2}.{bias,weight}`."""
        from tabulate import tabulate

        rows = [["not in the file", group, "", "initial values"] for group in group_keys(self.missing_keys)]
        by_shapes = defaultdict(list)
        for key, in_file, in_model in self.incorrect_shapes:
            by_shapes[in_file, in_model].append(key)
        for (in_file, in_model), keys in by_shapes.items():
            rows += [
                ["another shape", group, str(in_file), f"{in_model}, initial values"] for group in group_keys(keys)
            ]
        rows += [["not in the model", group, "skipped", ""] for group in group_keys(self.unexpected_keys)]
        if len(rows) > _MAX_ROWS:
            rows[_MAX_ROWS:] = [["...", f"and {len(rows) - _MAX_ROWS} more rows", "", ""]]
        return tabulate(rows, headers=["", "names", "in the file", "in the model"], tablefmt="simple")


def group_keys(keys: Iterable[str]) -> list[str]:
    """Group dotted names: modules with the same names inside share one line, `layer1.0.{bn1,bn2}.{bias,weight}`."""
    tree: dict = {}
    for key in keys:
        node = tree
        for part in key.split("."):
            node = node.setdefault(part, {})
    return list(_patterns(tree))


def _patterns(tree: dict) -> tuple[str, ...]:
    groups = defaultdict(list)
    for name, subtree in tree.items():
        groups[_patterns(subtree)].append(name)
    result = []
    for patterns, names in groups.items():
        names.sort(key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])
        head = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
        result += [f"{head}.{pattern}" for pattern in patterns] or [head]
    return tuple(result)
