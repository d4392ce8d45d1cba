"""Prints what importing the engine costs beside torch, and how memory and time grow over a million steps of metrics.

    OMP_NUM_THREADS=1 python benchmarks/start_and_memory.py --json start_and_memory.json

Imports are timed in fresh interpreters, torch alone and the engine in turn. The metrics are three tensors and three
numbers a step, put into an EventStorage in a process of its own: once with nobody who reads them, once with a JSON
file written every 20 steps, as in training. Its resident memory is told after 1, 10, 50 and 100 per cent of the steps.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from tabulate import tabulate

from steploop.engine import EventStorage, EventWriter, JSONWriter

MODULES = ("torch", "steploop.engine")
PERIOD = 20
SHARES = (1, 10, 50, 100)
PUTS_OF_A_STEP = 6
STATM = Path("/proc/self/statm")


def import_seconds(module: str) -> float:
    """Return the seconds of an import in a fresh interpreter, its start not counted."""
    program = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return float(done.stdout)


def imports(rounds: int) -> dict[str, list[float]]:
    """Return {module: seconds of each round}; the modules take turns, after one round that fills the disk's cache."""
    seconds: dict[str, list[float]] = {module: [] for module in MODULES}
    for number in range(rounds + 1):
        print(f"imports: round {number} of {rounds}", file=sys.stderr, flush=True)
        for module in MODULES if number % 2 else reversed(MODULES):
            seconds[module].append(import_seconds(module))
    return {module: values[1:] for module, values in seconds.items()}


def import_table(seconds: dict[str, list[float]]) -> str:
    """Return best, median and spread of each import, and the ratio to torch."""
    best, middle = min(seconds["torch"]), statistics.median(seconds["torch"])
    rows = [
        [
            f"import {module}",
            f"{min(values):.3f} ({min(values) / best:.2f})",
            f"{statistics.median(values):.3f} ({statistics.median(values) / middle:.2f})",
            f"{min(values):.3f}..{max(values):.3f}",
        ]
        for module, values in seconds.items()
    ]
    headers = ["", "best, s (of torch)", "median, s (of torch)", "from..to, s"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def nothing() -> None:
    """Write nothing: the storage that nobody reads."""


def record(steps: int, written: bool, device: str, folder: str) -> dict[str, list[float]]:
    """Put six scalars in each of so many steps, in a hundred blocks.

    Returns:
        {"resident": bytes after each block, "microseconds": of a put in each block, without the writing}.
    """
    torch.set_num_threads(1)
    values = torch.rand(64, device=device).unbind()
    writer = JSONWriter(Path(folder, "metrics.json")) if written else EventWriter()
    write: Callable[[], None] = writer.write if written else nothing
    resident, microseconds = [], []
    with EventStorage() as storage:
        for block in range(100):
            on_writing = 0.0
            start = time.perf_counter()
            for step in range(block * steps // 100, (block + 1) * steps // 100):
                storage.iter = step
                storage.put_scalar("total_loss", values[step % 64])
                storage.put_scalar("loss_triplet", values[(step + 1) % 64])
                storage.put_scalar("accuracy", values[(step + 2) % 64])
                storage.put_scalar("data_time", 0.001 * (step % 7), reduce="max")
                storage.put_scalar("time", 0.001 * (step % 9))
                storage.put_scalar("lr", 0.1, smoothing_hint=False)
                if step % PERIOD == PERIOD - 1:
                    began = time.perf_counter()
                    write()
                    on_writing += time.perf_counter() - began
            seconds = time.perf_counter() - start - on_writing
            puts = PUTS_OF_A_STEP * ((block + 1) * steps // 100 - block * steps // 100)
            microseconds.append(1e6 * seconds / puts)
            resident.append(float(resident_bytes()))
    writer.close()
    return {"resident": resident, "microseconds": microseconds}


def memory(steps: int, device: str) -> dict[str, dict[str, list[float]]]:
    """Return the figures of `record` for the storage that nobody reads and for the one that is written."""
    found = {}
    for name, written in (("nobody reads", False), (f"JSON every {PERIOD}", True)):
        print(f"memory: {steps:,} steps, {name}", file=sys.stderr, flush=True)
        with (
            tempfile.TemporaryDirectory() as folder,
            ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool,
        ):
            found[name] = pool.submit(record, steps, written, device, folder).result()
    return found


def memory_table(found: dict[str, dict[str, list[float]]]) -> str:
    """Return resident memory at the SHARES, its growth after the first tenth, and the time of a put."""
    rows = []
    for name, figures in found.items():
        resident = [figures["resident"][share - 1] / 2**20 for share in SHARES]
        # Without the very first block, in which the storage meets its names.
        start, end = (
            statistics.median(block) for block in (figures["microseconds"][1:10], figures["microseconds"][-9:])
        )
        cells = [f"{value:.1f}" for value in resident]
        rows.append([name, *cells, f"{resident[-1] - resident[1]:+.2f}", f"{start:.2f}", f"{end:.2f}"])
    headers = ["MiB resident", *(f"{share} %" for share in SHARES), "10..100 %", "us a put: start", "end"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="imports of each kind (default: 9)")
    parser.add_argument("--steps", type=int, default=1_000_000, metavar="N", help="default: a million")
    parser.add_argument("--device", default="cpu", help="where the tensors that are put are (default: cpu)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures")
    args = parser.parse_args()
    if args.rounds < 1 or args.steps < 100:
        parser.error("--rounds is at least 1, --steps at least 100")
    if not STATM.exists():
        parser.error(f"resident memory is read from {STATM}, which only Linux has")
    seconds = imports(args.rounds)
    found = memory(args.steps, args.device)
    print(f"{args.rounds} rounds of imports, the goal is at most 1.3 times torch:\n\n{import_table(seconds)}\n")
    print(f"{args.steps:,} steps of {PUTS_OF_A_STEP} scalars on {args.device}:\n\n{memory_table(found)}")
    if args.json:
        args.json.write_text(json.dumps({"imports": seconds, "steps": args.steps, "memory": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
