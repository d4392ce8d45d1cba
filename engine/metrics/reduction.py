"""How the measurements of several processes become one: a single collective each period."""

import math
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

from .events import Points, Reduce

Taken = dict[str, tuple[Reduce, Points]]


@dataclass
class MetricReducer:
    """Reduces what every process measured in the same span of iterations.

    One tensor is gathered: [number of names that the others may not know, flag, sums, counts], with a sum and
    a count for each known name and iteration. Gathered rather than all-reduced for two reasons: the order of summation
    is the order of ranks whatever the backend and the length of the span, so that a resumed run logs the same bits;
    and a maximum fits in the same collective as a mean. Only where some process brings new names are
    these exchanged as objects, and their values follow in a second tensor.

    Every process must call it at the same iterations.
    """

    names: dict[str, Reduce] = field(default_factory=dict)

    def __call__(self, taken: Taken, first: int, last: int, flag: int = 0) -> tuple[dict[str, Points], int]:
        """Return ({name: points}, the largest flag), the same on every process.

        A mean is over the processes that have a value of that name at that iteration; several values of one
        process at one iteration count as several.

        Args:
            taken: what this process measured, as `EventStorage.local_values` returns it.
            first: the first iteration of the span.
            last: the last one, included; values of other iterations are an error.
            flag: what this process has to say to the others.

        Raises:
            ValueError: a value was put at an iteration outside the span.
        """
        new = {name: how for name, (how, _) in taken.items() if name not in self.names}
        known = dict(self.names)
        gathered = _gather(
            torch.cat([torch.tensor([len(new), flag], dtype=torch.float64), _pack(known, taken, first, last)])
        )
        reduced = _unpack(known, gathered[:, 2:], first)
        if gathered[:, 0].any():
            fresh = self._agree(new)
            self.names.update(fresh)
            reduced |= _unpack(fresh, _gather(_pack(fresh, taken, first, last)), first)
        return reduced, int(gathered[:, 1].max())

    def _agree(self, new: dict[str, Reduce]) -> dict[str, Reduce]:
        everyones: list[dict[str, Reduce]] = [{}] * dist.get_world_size()
        dist.all_gather_object(everyones, new)
        merged: dict[str, Reduce] = {}
        for names in everyones:
            merged = names | merged
        return dict(sorted((name, how) for name, how in merged.items() if name not in self.names))


def _gather(vector: Tensor) -> Tensor:
    """Return (world size, length) on the CPU; `vector` has the same length everywhere."""
    if dist.get_backend() == "nccl":
        vector = vector.cuda()
    rows = [torch.empty_like(vector) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, vector)
    return torch.stack(rows).cpu()


def _pack(names: dict[str, Reduce], taken: Taken, first: int, last: int) -> Tensor:
    """Return a flat float64 tensor of (2, names, span): sums or maxima, then counts."""
    table = torch.zeros(2, len(names), last - first + 1, dtype=torch.float64)
    rows = table.tolist()
    for index, (name, how) in enumerate(names.items()):
        for value, iteration in taken.get(name, (how, ()))[1]:
            if not first <= iteration <= last:
                raise ValueError(
                    f"{name!r} was put at iteration {iteration}, outside {first}..{last}: with several processes, "
                    "a tensor is put at the current iteration (give a number to record it elsewhere)"
                )
            column = iteration - first
            seen = rows[1][index][column]
            so_far = rows[0][index][column]
            rows[0][index][column] = max(so_far, value) if how == "max" and seen else so_far + value
            rows[1][index][column] = seen + 1
    return torch.tensor(rows, dtype=torch.float64).reshape(-1)


def _unpack(names: dict[str, Reduce], gathered: Tensor, first: int) -> dict[str, Points]:
    """Turn the packed tables of all ranks (world size, length) into {name: points}."""
    world_size = gathered.shape[0]
    if not names:
        return {}
    values, counts = gathered.reshape(world_size, 2, len(names), -1).unbind(1)
    largest = values.masked_fill(counts == 0, -math.inf).amax(0).tolist()
    count = counts.sum(0)
    total = values[0].clone()
    for row in values[1:]:  # rank by rank: the order in which floats are added is part of the result
        total += row
    mean = (total / count).tolist()
    reduced: dict[str, Points] = {}
    for index, (name, how) in enumerate(names.items()):
        source = largest if how == "max" else mean
        points = [(source[index][column], first + column) for column, seen in enumerate(count[index].tolist()) if seen]
        if points:
            reduced[name] = points
    return reduced
