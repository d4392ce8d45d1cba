"""Prints what an engine adds to a training step, beside a loop written by hand: docs/performance.md.

    python benchmarks/engine_overhead.py

The step is tiny (two linear layers, batch 8, one thread), so that what is added shows. A pair is one process in which
blocks of the shortest loop and of the engine take turns; its overhead is the ratio of the medians of the two.
Of many pairs the median is printed with its 95 % interval (of order statistics) and the range; beside it, how many more
Python functions a step calls. Goals: "full" at most
18 %, "bare" at most 4 %, by the upper end of the interval.
"""

import argparse
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

GOALS = {"bare": 4.0, "full": 18.0}
MODULES = {"ignite": "ignite", "accelerate": "accelerate", "lightning": "lightning"}


def interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median: the widest order statistics that a sign test does not reject."""
    ordered, n = sorted(values), len(values)
    below, rank = 0.0, 0
    while (below := below + math.comb(n, rank) / 2**n) <= 0.025:
        rank += 1
    return ordered[max(rank - 1, 0)], ordered[min(n - rank, n - 1)]


def measure(name: str, args: argparse.Namespace) -> dict[str, object]:
    """Run one pair in a process of its own."""
    command = [sys.executable, __file__, "--pair", name, "--steps", str(args.steps), "--blocks", str(args.blocks)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"the loop {name!r} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run_pair(name: str, steps: int, blocks: int) -> dict[str, object]:
    """Let blocks of the shortest loop and of another take turns; return the median microseconds of both."""
    import loops
    import torch

    torch.set_num_threads(1)
    loop = (loops.OURS | loops.PEERS)[name]
    times: dict[str, list[float]] = {"raw": [], name: []}
    digests = set()
    for block in range(blocks + 1):
        order = [("raw", loops.raw), (name, loop)]
        for which, run in order if block % 2 else order[::-1]:
            with tempfile.TemporaryDirectory() as folder:
                job = loops.Job(steps, steps // 10, Path(folder))
                run(job)
                digests.add(job.digest())
                if block:  # the first ones pay for imports
                    times[which].append(job.microseconds())
    raw, other = statistics.median(times["raw"]), statistics.median(times[name])
    calls = calls_per_step(loop) - calls_per_step(loops.raw)
    return {"loop": name, "raw_us": raw, "us": other, "same_weights": len(digests) == 1, "calls": calls}


def calls_per_step(loop: Callable[[Any], None]) -> float:
    """Return how many Python functions a step calls, in the main thread, what is written every period included."""
    import loops

    counts = []
    for periods in (2, 4):  # the difference leaves out what a run does once
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event == "call"

        with tempfile.TemporaryDirectory() as folder:
            job = loops.Job(periods * loops.PERIOD, 0, Path(folder))
            sys.setprofile(count)
            try:
                loop(job)
            finally:
                sys.setprofile(None)
        counts.append(calls)
    return (counts[1] - counts[0]) / (2 * loops.PERIOD)


def row(name: str, pairs: list[dict]) -> list[object]:
    """Return the table's row of one loop."""
    percent = [100 * (pair["us"] / pair["raw_us"] - 1) for pair in pairs]
    added = statistics.median(pair["us"] - pair["raw_us"] for pair in pairs)
    low, high = interval(percent)
    goal = "" if name not in GOALS else f"{GOALS[name]:g} %: {'met' if high <= GOALS[name] else 'not met'}"
    return [
        name,
        f"{statistics.median(percent):+.1f} %",
        f"{low:+.1f} .. {high:+.1f}",
        f"{min(percent):+.1f} .. {max(percent):+.1f}",
        f"{added:+.0f}",
        f"{pairs[0]['calls']:+.0f}",
        "yes" if all(pair["same_weights"] for pair in pairs) else "NO",
        goal,
    ]


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="pairs of each loop (default: 20)")
    parser.add_argument("--steps", type=int, default=600, help="steps of a block, a tenth is warm-up (default: 600)")
    parser.add_argument("--blocks", type=int, default=5, help="blocks of a pair (default: 5)")
    parser.add_argument(
        "--engines", default="", help="comma-separated (default: ours, and the peers that are installed)"
    )
    parser.add_argument("--json", metavar="FILE", help="write every pair here")
    parser.add_argument("--pair", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure pairs in turns, and print the table."""
    args = parse()
    if args.pair:
        print("\n" + json.dumps(run_pair(args.pair, args.steps, args.blocks)))
        return
    known = ["by hand", "bare", "full", *MODULES]
    installed = [name for name in known if name not in MODULES or importlib.util.find_spec(MODULES[name])]
    names = args.engines.split(",") if args.engines else installed
    if unknown := set(names) - set(known):
        sys.exit(f"error: unknown engines {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    pairs: dict[str, list[dict]] = {name: [] for name in names}
    for name in tqdm([name for _ in range(args.rounds) for name in names], unit="pair", disable=None):
        pairs[name].append(measure(name, args))
    if args.json:
        Path(args.json).write_text(json.dumps({"args": vars(args), "pairs": pairs}, indent=1))
    raw = statistics.median(pair["raw_us"] for name in names for pair in pairs[name])
    print(f"the shortest loop: {raw:.0f} us a step; {args.rounds} pairs, {os.cpu_count()} cores\n")
    header = ["loop", "added (median)", "95 % interval", "range", "us a step", "calls a step", "same weights", "goal"]
    print(tabulate([row(name, pairs[name]) for name in names], header, tablefmt="github"))
    if missing := [name for name in MODULES if name not in installed]:
        print(f"\nnot installed: {', '.join(missing)} (pip install -c constraints.txt -e '.[bench]')")


if __name__ == "__main__":
    main()
