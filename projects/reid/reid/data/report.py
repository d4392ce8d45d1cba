"""What is known about a data set after a look at all of it: tables and findings."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from tabulate import tabulate

from .items import ReidItem

_MAX_CAMERAS = 20


@dataclass(frozen=True)
class Finding:
    """Something about a data set that a person should know.

    Attributes:
        kind: a short name of what it is.
        is_problem: whether it makes training fail or its figures wrong; otherwise it may be meant.
        count: how many there are.
        text: what it is, and what to do.
        examples: some of them.
    """

    kind: str
    is_problem: bool
    count: int
    text: str
    examples: Sequence[str]


@dataclass(frozen=True)
class Report:
    """What `check_dataset` found.

    Attributes:
        name: the data set.
        subsets: its items by the names of its subsets.
        sizes: width and height of each image that can be read, by its path.
        findings: the problems first.
    """

    name: str
    subsets: Mapping[str, Sequence[ReidItem]] = field(repr=False)
    sizes: Mapping[str, tuple[int, int]] = field(repr=False)
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not any(finding.is_problem for finding in self.findings)

    def counts(self) -> list[dict[str, Any]]:
        """Return for each subset its identities, images and cameras, and the spread of the images' sizes."""
        rows = []
        for name, items in self.subsets.items():
            sizes = [self.sizes[item.img_path] for item in items if item.img_path in self.sizes]
            rows.append(
                {
                    "subset": name,
                    "ids": len({item.pid for item in items}),
                    "images": len(items),
                    "cameras": len({item.camid for item in items}),
                    "images per id": _spread(list(Counter(item.pid for item in items).values())),
                    "width": _spread([width for width, _ in sizes]),
                    "height": _spread([height for _, height in sizes]),
                }
            )
        return rows

    def cameras(self) -> list[dict[str, int]]:
        """Return for each camera (from 1) the identities and images that it has in each subset."""
        pids: dict[tuple[int, str], list[int]] = defaultdict(list)
        for name, items in self.subsets.items():
            for item in items:
                pids[item.camid, name].append(item.pid)
        rows = []
        for camid in sorted({camid for camid, _ in pids}):
            row = {"camera": camid + 1}
            for name in self.subsets:
                seen = pids.get((camid, name), [])
                row |= {f"{name} ids": len(set(seen)), f"{name} images": len(seen)}
            rows.append(row)
        return rows

    def as_text(self) -> str:
        """Return tables of the subsets and the cameras, then the findings."""
        parts = [f"Data set {self.name}", _table(self.counts()), self._camera_table()]
        if any(finding.kind == "broken" for finding in self.findings):
            parts.append("Sizes are those of the images that can be read.")
        for finding in self.findings:
            lines = [f"{'PROBLEM' if finding.is_problem else 'note'}: {finding.text}", *finding.examples]
            more = finding.count - len(finding.examples)
            parts.append("\n    ".join([*lines, *([f"... and {more} more"] if more else [])]))
        parts.append("OK: no problem was found." if self.ok else "Not OK: see each PROBLEM.")
        return "\n\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return the same as plain data, for JSON."""
        return {
            "name": self.name,
            "ok": self.ok,
            "subsets": self.counts(),
            "cameras": self.cameras(),
            "findings": [asdict(finding) for finding in self.findings],
        }

    def _camera_table(self) -> str:
        """Return a table of the cameras with several images; an image of an unknown camera has one of its own."""
        rows = self.cameras()
        several = [row for row in rows if sum(row[f"{name} images"] for name in self.subsets) > 1]
        lines = [_table(several[:_MAX_CAMERAS])] if several else []
        if len(several) > _MAX_CAMERAS:
            lines.append(f"... and {len(several) - _MAX_CAMERAS} more cameras.")
        if len(several) < len(rows):
            lines.append(
                f"{len(rows) - len(several):,} cameras have one image: so counts an image of an unknown camera."
            )
        return "\n".join(lines)


def _spread(values: Sequence[int]) -> dict[str, int] | None:
    """Return the smallest, median and largest value."""
    if not values:
        return None
    return {"min": min(values), "median": int(np.median(values)), "max": max(values)}


def _table(rows: Sequence[dict[str, Any]]) -> str:
    flat = [
        {key: " / ".join(map(str, cell.values())) if isinstance(cell, dict) else cell for key, cell in row.items()}
        for row in rows
    ]
    return tabulate(flat, headers="keys", tablefmt="pipe", intfmt=",")
