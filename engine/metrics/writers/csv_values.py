"""Every single value as a row of CSV."""

import csv
import io
import os

from ..events import get_event_storage
from .lines import LineWriter

HEADER = "iteration,name,value\n"


class CSVWriter(LineWriter):
    """Appends a row ``iteration,name,value`` for every value of every scalar, unsmoothed.

    Long, not wide: a scalar may appear in the middle of a run, as that of an evaluation does, and a table with a column
    for each would have to be written again. With pandas::

        frame = pandas.read_csv("metrics.csv", float_precision="round_trip")
        wide = frame.pivot_table(index="iteration", columns="name", values="value", aggfunc="last")

    Values are written so that reading gives the same bits; those that are not finite are nan, inf and -inf. The end of
    a line in a name becomes a space, so that a row is a line. Rows go by iteration, then by name.

    The storage holds the last 1,000 values of a scalar: write more often than that. It does not keep over a resume how
    long steps took ("time", "data_time"), so these have no rows between the last write before a checkpoint and that
    checkpoint; all other rows are those of a run that nothing disturbed.

    Args:
        path: the file, opened at the first write; its folder must exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, header=HEADER)

    def write(self) -> None:
        """Append what is newer than the last row."""
        self.open()
        rows = [
            (iteration, " ".join(name.splitlines()), repr(value))
            for name, points in get_event_storage().since(self._last_write + 1).items()
            for value, iteration in points
        ]
        rows.sort(key=lambda row: row[:2])  # values of one name and iteration stay in their order
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        if rows:
            self._last_write = rows[-1][0]
        self.append([text.getvalue()])

    def is_known(self, line: bytes) -> bool:
        """Return True if a line is the header, or a row up to the last write."""
        if line == HEADER.encode():
            return True
        iteration, *rest = line.split(b",")
        return len(rest) >= 2 and iteration.isdigit() and len(iteration) < 20 and int(iteration) <= self._last_write
