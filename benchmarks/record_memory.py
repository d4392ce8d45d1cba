"""Prints what each worker's memory holds of its own while it reads records, in a plain list and in SharedRecords.

A record is one image of COCO: its file name, size and seven boxes. A loader with workers reads them in random order,
and the mapper returns one number, so that nothing else takes memory. Measured for each worker, by smaps_rollup:

    own (USS)     pages that no other process has, in MiB: what one more worker costs
    share (PSS)   the same, and its share of the pages that several processes have

"at the start" is after each worker's first batch, "later" after so many records that each came once on average; the
table has the largest of all workers. Each line is a process of its own. The table also has the size of the buffer, the
seconds to make and store the records, the seconds of the manifest's fingerprint, and the mean microseconds to read a
record: the smallest and the largest of three measurements. Times are those of one processor core, which other programs
on the machine change little.

    OMP_NUM_THREADS=1 python benchmarks/record_memory.py
    OMP_NUM_THREADS=1 python benchmarks/record_memory.py --cases list:10000 shared:10000 shared:1000000 --workers 4
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from steploop.data import MappedDataset, SharedRecords, StepBatchSampler, TrainingSampler, TrainLoader
from steploop.engine.run.manifest import fingerprint

CASES = ("list:10000", "list:100000", "shared:10000", "shared:100000", "shared:1000000")
BOXES, BATCH = 7, 250


def make_records(count: int) -> Iterator[dict[str, Any]]:
    """Yield records like those of COCO's instances_train2017.json, grouped by image."""
    rng = np.random.default_rng(0)
    for number in range(count):
        values = rng.random((BOXES, 5)).round(4)
        yield {
            "file_name": f"train2017/{number:012d}.jpg",
            "image_id": number,
            "height": 480,
            "width": 640,
            "annotations": [
                {"bbox": (640 * row[:4]).tolist(), "area": 1e4 * float(row[4]), "category_id": place, "iscrowd": 0}
                for place, row in enumerate(values)
            ],
        }


def count_boxes(record: dict[str, Any], rng: np.random.Generator) -> dict[str, int]:
    """Read all of a record."""
    return {"boxes": sum(len(box["bbox"]) == 4 for box in record["annotations"])}


def memory_of(pid: int | None) -> tuple[float, float]:
    """Return the memory of a process in MiB: its own, and with its share of the common pages."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        sizes[name.rstrip(":")] = int(size) / 1024
    return sizes["Private_Clean"] + sizes["Private_Dirty"], sizes["Pss"]


def largest_worker() -> tuple[float, float]:
    """Return the largest (USS, PSS) of the workers."""
    uss, pss = zip(*(memory_of(worker.pid) for worker in multiprocessing.active_children()))
    return max(uss), max(pss)


def spread(function: Callable[[], Any], units: float) -> str:
    """Return the smallest and the largest of three measurements of a call's processor time, for each unit."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        function()
        seconds.append((time.process_time() - start) / units)
    return f"{min(seconds):.2f}..{max(seconds):.2f}"


def measure(kind: str, count: int, workers: int) -> dict[str, Any]:
    """Return one line of the table."""
    start = time.process_time()
    items: Sequence[Any] = list(make_records(count)) if kind == "list" else SharedRecords(make_records(count))
    result: dict[str, Any] = {"records": f"{count:,}", "in": kind, "workers": workers}
    result["made in s"] = time.process_time() - start
    result["buffer MiB"] = items.nbytes / 2**20 if isinstance(items, SharedRecords) else None
    result["fingerprint s"] = spread(lambda: fingerprint(items), 1)
    places = range(0, count, max(1, count // 10_000))
    result["read us"] = spread(lambda: [items[place] for place in places], len(places) / 1e6)
    loader = TrainLoader(
        MappedDataset(items, count_boxes), StepBatchSampler(TrainingSampler(count), BATCH), num_workers=workers
    )
    batches = iter(loader)
    list(islice(batches, workers))
    (result["own at the start"], result["share at the start"]) = largest_worker()
    list(islice(batches, count // BATCH))
    (result["own later"], result["share later"]) = largest_worker()
    loader.close()
    return result


def main() -> None:
    """Measure each case in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="KIND:COUNT", help="list or shared, and how many")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        kind, count = args.cases[0].split(":")
        print(json.dumps(measure(kind, int(count), args.workers)))
        return
    rows = []
    for case in args.cases:
        command = [sys.executable, __file__, "--one", "--cases", case, "--workers", str(args.workers)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=".1f", missingval="-"))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
