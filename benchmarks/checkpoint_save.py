"""Prints how long a training stands still, and what it loses in all, for a save of a model with its momentum.

    OMP_NUM_THREADS=1 python benchmarks/checkpoint_save.py --rounds 15 --json checkpoint_save.json

What is saved is a model of 25 million parameters in 160 tensors (a ResNet-50's number) with SGD's momentum: 200 MB.
Beside it a small network trains, a few milliseconds a step. In each round every way of saving has its turn, in
another order: so many steps with a save before them, and as many without one. The loss of a save is the time of the
steps with it, until it is done, minus the round's median time of as many steps without. The file's pages reach the disk
outside of the clock, so that no way of saving pays for another's.

All figures are ratios to a plain copy of the tensors into buffers that are kept, made in the same run; the absolute
times are those of this machine, this disk and this hour.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tabulate import tabulate
from torch import Tensor, nn

from steploop.engine.checkpoint import Checkpointer

TENSORS = 160
PLAIN_COPY = "plain copy into kept buffers"
SYNCHRONOUS = "steploop, synchronous"
ASYNCHRONOUS = "steploop, asynchronous"


class Saved:
    """The state that is saved: a model that has taken one step, and its optimizer.

    Args:
        parameters: how many, in tensors of equal size.
    """

    def __init__(self, parameters: int) -> None:
        size = max(parameters // TENSORS, 1)
        self.model = nn.ParameterList([nn.Parameter(torch.randn(size)) for _ in range(TENSORS)])
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        for parameter in self.model:
            parameter.grad = torch.ones_like(parameter)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, object]:
        """Return what torch.save is given."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def tensors(self) -> list[Tensor]:
        """Return the parameters and their momentum."""
        momentum = [state["momentum_buffer"] for state in self.optimizer.state.values()]
        return [*(parameter.detach() for parameter in self.model), *momentum]


class SmallTraining:
    """What trains beside the saves: a network that fits into a core's cache."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self._images, self._labels = torch.randn(128, 256), torch.randint(10, (128,))
        self._model = nn.Sequential(
            nn.Linear(256, 384), nn.ReLU(), nn.Linear(384, 384), nn.ReLU(), nn.Linear(384, 384), nn.ReLU(),
            nn.Linear(384, 10),
        )  # fmt: skip
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.01, momentum=0.9)

    def steps(self, number: int) -> float:
        """Take so many steps; return their seconds."""
        start = time.perf_counter()
        for _ in range(number):
            self._optimizer.zero_grad()
            nn.functional.cross_entropy(self._model(self._images), self._labels).backward()
            self._optimizer.step()
        return time.perf_counter() - start


def ways_of_saving(saved: Saved, folder: Path) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return {name: (what the loop calls, what waits until it is done)}."""
    sources = saved.tensors()
    kept = [torch.empty_like(source) for source in sources]

    def plain_copy() -> None:
        for buffer, source in zip(kept, sources):
            buffer.copy_(source)

    def torch_save(flush: bool) -> None:
        with (folder / "torch.pth").open("wb") as file:
            torch.save(saved.state_dict(), file)
            if flush:
                file.flush()
                os.fsync(file.fileno())

    def checkpointer(asynchronous: bool) -> Checkpointer:
        return Checkpointer(
            saved.model,
            folder / f"asynchronous-{asynchronous}",
            save_to_disk=True,
            asynchronous=asynchronous,
            optimizer=saved.optimizer,
        )

    ours, beside = checkpointer(False), checkpointer(True)

    def nothing() -> None:
        pass

    return {
        PLAIN_COPY: (plain_copy, nothing),
        "torch.save": (lambda: torch_save(False), nothing),
        "torch.save and fsync": (lambda: torch_save(True), nothing),
        SYNCHRONOUS: (lambda: ours.save("model"), nothing),
        ASYNCHRONOUS: (lambda: beside.save("model"), beside.wait),
    }


def timed(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def steps_that_cover(ways: dict[str, tuple[Callable, Callable]], training: SmallTraining) -> int:
    """Save in every way, which fills the kept buffers, and return how many steps take as long as two saves."""
    longest = 0.0
    for save, wait in ways.values():
        for _ in range(2):
            longest = max(longest, timed(save) + timed(wait))
        os.sync()
    training.steps(20)
    return max(math.ceil(2 * longest / (training.steps(20) / 20)), 10)


def measure(
    ways: dict[str, tuple[Callable, Callable]], training: SmallTraining, steps: int, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Return {way: {"still": seconds of the call, "loss": seconds lost in all}}, one value a round."""
    measured: dict[str, dict[str, list[float]]] = {name: {"still": [], "loss": []} for name in ways}
    names = list(ways)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        turn = number % len(names)
        without, whole = [], {}
        for name in names[turn:] + names[:turn]:
            save, wait = ways[name]
            without.append(training.steps(steps))
            still = timed(save)
            whole[name] = still + training.steps(steps) + timed(wait)
            measured[name]["still"].append(still)
            os.sync()
        usual = statistics.median(without)  # of this round: what else a machine does changes from minute to minute
        for name, seconds in whole.items():
            measured[name]["loss"].append(seconds - usual)
    return measured


def table(measured: dict[str, dict[str, list[float]]]) -> str:
    """Return the figures in milliseconds, and as ratios of medians to the plain copy's standstill."""
    unit = statistics.median(measured[PLAIN_COPY]["still"])
    rows = []
    for name, figures in measured.items():
        row: list[object] = [name]
        for seconds in (figures["still"], figures["loss"]):
            middle = statistics.median(seconds)
            row += [f"{1e3 * middle:.1f} ({1e3 * min(seconds):.1f}..{1e3 * max(seconds):.1f})", f"{middle / unit:.2f}"]
        rows.append(row)
    headers = ["a save by", "stands still, ms", "of a copy", "loses in all, ms", "of a copy"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def verdict(measured: dict[str, dict[str, list[float]]]) -> str:
    """Return the two goals of the asynchronous save with what was measured."""
    pairs = zip(measured[ASYNCHRONOUS]["still"], measured[PLAIN_COPY]["still"])
    ratio = statistics.median(ours / copy for ours, copy in pairs)
    losses = [statistics.median(measured[name]["loss"]) for name in (ASYNCHRONOUS, SYNCHRONOUS)]
    return (
        f"asynchronous stands still {ratio:.2f} times a plain copy of the same round (goal: at most 1.2) "
        f"and loses {losses[0] / losses[1]:.2f} times what the synchronous save does (goal: less than 1)"
    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="saves of each kind (default: 15)")
    parser.add_argument("--parameters", type=int, default=25_000_000, metavar="N", help="default: 25 million")
    parser.add_argument("--folder", type=Path, metavar="PATH", help="on the disk to measure (default: a temporary one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures, in seconds")
    args = parser.parse_args()
    if args.rounds < 1 or args.parameters < 1:
        parser.error("--rounds and --parameters are at least 1")
    saved, training = Saved(args.parameters), SmallTraining()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        ways = ways_of_saving(saved, Path(folder))
        steps = steps_that_cover(ways, training)
        measured = measure(ways, training, steps, args.rounds)
    megabytes = sum(tensor.nbytes for tensor in saved.tensors()) / 1e6
    print(f"{megabytes:.0f} MB in {2 * TENSORS} tensors, {steps} steps a window, {args.rounds} rounds, ", end="")
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads in an operation\n")
    print(table(measured))
    print(f"\n{verdict(measured)}")
    if args.json:
        args.json.write_text(json.dumps({"megabytes": megabytes, "steps": steps, "seconds": measured}, indent=1) + "\n")


if __name__ == "__main__":
    main()
