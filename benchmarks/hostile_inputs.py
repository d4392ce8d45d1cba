"""Feeds mutated inputs to everything that a run reads, for as long as one likes.

    python benchmarks/hostile_inputs.py --seconds 600
    python benchmarks/hostile_inputs.py --count 10000 --seed 3 --kind image

Each input must give a correct result or a documented error: nothing is executed, hangs, or writes outside of the run's
folder. Prints a table; the exit status is 1 where an input did anything else, with a command that tries it again.
Inputs are those of the tests (tests/support/fuzzing) and follow from kind, seed and number.
"""

import argparse
import faulthandler
import itertools
import logging
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from fuzzing import CORRECT, KINDS, Box, Failure, Kind, attempt
from fuzzing.harness import SECONDS

FAILED = "anything else"


def main() -> int:
    """Run the command line, and return the exit status."""
    args = parse_args()
    kinds = [kind for kind in KINDS if args.kind in (None, kind.name)]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # PIL and torch warn about much of what is tried
    tallies: dict[str, Counter[str]] = {kind.name: Counter() for kind in kinds}
    spent = {kind.name: 0.0 for kind in kinds}
    failures: list[Failure] = []
    with tempfile.TemporaryDirectory() as folder:
        box, begin, told = Box(Path(folder) / "box"), time.monotonic(), 0.0
        for done, (kind, index) in enumerate(inputs(kinds, args.first)):
            now = time.monotonic() - begin
            if (args.count is not None and done >= args.count) or (args.seconds is not None and now >= args.seconds):
                break
            if now >= told + args.progress:
                told = now
                print(f"{now:6.0f} s  {done:8,} inputs  {len(failures)} failures", flush=True)
            outcome = try_one(kind, box, args.seed, index, failures)
            tallies[kind.name][outcome] += 1
            spent[kind.name] += time.monotonic() - begin - now
    print(table(tallies, spent))
    for failure in failures[:20]:
        print(f"\nFAILED: {ascii(str(failure))}")
    print(f"\n{sum(map(Counter.total, tallies.values())):,} inputs, {len(failures)} failures, seed {args.seed}")
    return 1 if failures else 0


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--seconds", type=float, help="stop after so long (default: 60, unless --count is given)")
    limit.add_argument("--count", type=int, help="stop after so many inputs, of all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other inputs (default: 0)")
    parser.add_argument(
        "--first", type=int, default=0, metavar="N", help="begin with input N of each kind (default: 0)"
    )
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], help="one kind of input only (default: all)")
    parser.add_argument("--progress", type=float, default=10, metavar="S", help="seconds between lines (default: 10)")
    args = parser.parse_args()
    if args.seconds is None and args.count is None:
        args.seconds = 60
    if args.seed < 0 or args.first < 0:
        parser.error("--seed and --first are numbers >= 0")
    return args


def inputs(kinds: list[Kind], first: int) -> Iterator[tuple[Kind, int]]:
    """Yield (kind, number) for ever: in each round as many of a kind as it has weight."""
    numbers = {kind.name: itertools.count(first) for kind in kinds}
    while True:
        for kind in kinds:
            for _ in range(kind.weight):
                yield kind, next(numbers[kind.name])


def try_one(kind: Kind, box: Box, seed: int, index: int, failures: list[Failure]) -> str:
    """Try an input, and note a failure."""
    # The alarm cannot end a call into C that never comes back; this ends the program, and says where it was.
    faulthandler.dump_traceback_later(3 * SECONDS, exit=True)
    try:
        return attempt(kind, box, seed, index)
    except Failure as failure:
        failures.append(failure)
        return FAILED
    finally:
        faulthandler.cancel_dump_traceback_later()


def table(tallies: dict[str, Counter[str]], spent: dict[str, float]) -> str:
    """Return what came of the inputs as a table, by kind."""
    rows = []
    for name, tally in tallies.items():
        errors = [f"{error} {number:,}" for error, number in tally.most_common() if error not in (CORRECT, FAILED)]
        counts = [f"{number:,}" for number in (tally.total(), tally[CORRECT], tally[FAILED])]
        rows.append((name, counts[0], counts[1], "\n".join(errors), counts[2], f"{spent[name]:.1f}"))
    headers = ("kind of input", "tried", CORRECT, "documented errors", FAILED, "seconds")
    return tabulate(rows, headers, disable_numparse=True, colalign=("left", "right", "right", "left", "right", "right"))


if __name__ == "__main__":
    sys.exit(main())
