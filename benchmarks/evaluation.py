"""Prints how long ranking a gallery takes, and how much memory, beside the usual loop with argsort.

    OMP_NUM_THREADS=1 python benchmarks/evaluation.py --size market
    OMP_NUM_THREADS=1 python benchmarks/evaluation.py --size msmt17 --rounds 1

Each round is a process of its own. It draws features (identity centre + noise, so hard that mAP is about 0.5), ranks
them in pieces, and gives the same distances to the loop, twice: with arrays throughout, and as it is mostly written,
with a list of the precisions at all ranks.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from steploop.projects.reid.evaluation import (
    Ranking,
    RetrievalResult,
    distance_blocks,
    pairwise_distance,
    rank_distances,
)

MAX_RANK = 50
LOOPS = {"arrays": "usual loop, arrays", "lists": "usual loop, a list of precisions"}


@dataclass(frozen=True)
class Size:
    """A test set; `distractors` of the gallery's images are nobody's, `usual` queries are given to the usual loop."""

    queries: int
    gallery: int
    dimensions: int
    identities: int
    cameras: int
    distractors: int
    noise: float
    usual: int


SIZES = {
    "market": Size(3368, 15913, 2048, 750, 6, 2798, noise=5.9, usual=3368),
    "msmt17": Size(11659, 82161, 2048, 3060, 15, 0, noise=5.3, usual=200),
    "small": Size(60, 1500, 64, 20, 4, 300, noise=2.8, usual=60),
}


@dataclass(frozen=True)
class Task:
    """Features on the CPU, and the identities of queries and gallery, then their cameras."""

    query: torch.Tensor
    gallery: torch.Tensor
    labels: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

    def of(self, queries: NDArray[np.int64]) -> "Task":
        """Return the same task with only these queries."""
        query_pids, gallery_pids, query_camids, gallery_camids = self.labels
        labels = query_pids[queries], gallery_pids, query_camids[queries], gallery_camids
        return Task(self.query[torch.from_numpy(queries)], self.gallery, labels)


def make_task(size: Size) -> Task:
    """Draw labels and features: in place, for the most memory that the process ever takes shall be the evaluation's."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    pids = [rng.integers(0, size.identities, count) for count in (size.queries, size.gallery)]
    pids[1][: size.distractors] = -1
    rng.shuffle(pids[1])
    camids = [rng.integers(0, size.cameras, count) for count in (size.queries, size.gallery)]
    centres = torch.randn(size.identities + 1, size.dimensions, generator=generator)
    centres[-1] = 0  # nobody's
    features = []
    for owners in pids:
        drawn = torch.empty(len(owners), size.dimensions).normal_(generator=generator)
        # Some images are harder than others, so that the last positive of a query is far behind the first.
        drawn *= size.noise * (0.3 + 0.7 * torch.rand(len(owners), 1, generator=generator))
        for rows, centre in zip(drawn.split(256), torch.from_numpy(owners).split(256)):
            rows += centres[centre]
        features.append(drawn)
    return Task(features[0], features[1], (pids[0], pids[1], camids[0], camids[1]))


def usual_loop(distances: NDArray[np.float32], task: Task, *, lists: bool) -> NDArray[np.float64]:
    """Rank as it is usually done: sort every row whole, then walk over the queries.

    Args:
        distances: (Q, G).
        task: its labels are taken.
        lists: divide the hits by the ranks in a list of Python numbers, and not in an array.

    Returns:
        (3, Q): rank of the first positive, AP and INP; NaN for a query without a match.
    """
    query_pids, gallery_pids, query_camids, gallery_camids = task.labels
    indices = np.argsort(distances, axis=1)
    matches = (gallery_pids[indices] == query_pids[:, np.newaxis]).astype(np.int32)
    results = np.full((3, len(distances)), np.nan)
    for query, order in enumerate(indices):
        junk = (gallery_pids[order] == query_pids[query]) & (gallery_camids[order] == query_camids[query])
        hits = matches[query][~junk]
        if not hits.any():
            continue
        found = hits.cumsum()
        if lists:
            precision = np.asarray([count / (place + 1.0) for place, count in enumerate(found)])
        else:
            precision = found / np.arange(1, len(found) + 1)
        places = np.flatnonzero(hits)
        average = (precision * hits).sum() / found[-1]
        results[:, query] = places[0] + 1, average, found[-1] / (places[-1] + 1)
    return results


def measure(size: Size, memory_mib: int, usual: int) -> dict[str, Any]:
    """Run one round: seconds (of the loop scaled to all queries), MiB, and figures from 0 to 1."""
    task = make_task(size)
    before = memory_of_process("VmRSS")
    result, seconds = rank_in_pieces(task, memory_mib)
    peak = memory_of_process("VmHWM") - before
    seen: dict[str, Any] = {"seconds": seconds, "peak_mib": peak, "figures": {"ours": figures_of(result)}}
    if usual == 0:
        return seen
    part = task.of(np.linspace(0, size.queries - 1, usual).round().astype(np.int64))
    distances = pairwise_distance(part.query, part.gallery).numpy()
    untied = without_ties(distances, part)
    ours = rank_distances(distances[untied], *part.of(untied).labels, max_rank=MAX_RANK)
    differences = []
    for name in LOOPS:
        plain, elapsed = clock(usual_loop, distances, part, lists=name == "lists")
        seconds[name] = elapsed * size.queries / usual
        seen["figures"][name] = figures_of(as_result(plain))
        loop = as_result(plain[:, untied])
        pairs = (ours.ap, loop.ap), (ours.inp, loop.inp), (ours.cmc, loop.cmc)
        differences += [float(np.nanmax(np.abs(a - b))) for a, b in pairs]
    return {**seen, "loop_queries": usual, "tied_queries": usual - len(untied), "difference": max(differences)}


def rank_in_pieces(task: Task, memory_mib: int) -> tuple[RetrievalResult, dict[str, float]]:
    """Do what `evaluate_retrieval` does, with a clock between distances and ranking."""
    ranking, ranked = clock(Ranking, *task.labels)
    multiplied = 0.0
    blocks = distance_blocks(task.query, task.gallery, memory_mib=memory_mib)
    while True:
        block, elapsed = clock(next, blocks, None)
        multiplied += elapsed
        if block is None:
            break
        ranked += clock(ranking.add, block)[1]
    result, elapsed = clock(ranking.result, MAX_RANK)
    return result, {"product": multiplied, "ours": ranked + elapsed}


def clock(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, float]:
    """Return what `function` returns, and its seconds."""
    start = time.perf_counter()
    value = function(*args, **kwargs)
    return value, time.perf_counter() - start


def without_ties(distances: NDArray[np.float32], task: Task) -> NDArray[np.int64]:
    """Return the queries of which no positive is as near as a negative: there argsort's order is anyone's guess."""
    query_pids, gallery_pids, _, _ = task.labels
    kept = []
    for query, row in enumerate(distances):
        same = gallery_pids == query_pids[query]
        if not np.isin(row[same], row[~same]).any():
            kept.append(query)
    return np.array(kept, dtype=np.int64)


def as_result(plain: NDArray[np.float64]) -> RetrievalResult:
    """Return what the usual loop found of each query with its CMC."""
    first, ap, inp = plain
    valid = ~np.isnan(first)
    cmc = (first[valid][:, np.newaxis] <= np.arange(1, MAX_RANK + 1)).mean(axis=0)
    return RetrievalResult(cmc=cmc, ap=ap, inp=inp, valid=valid)


def figures_of(result: RetrievalResult) -> dict[str, float]:
    """Return the figures that the table shows."""
    return {"mAP": result.mean_ap, "Rank-1": result.rank(1), "mINP": result.mean_inp}


def memory_of_process(name: str) -> float:
    """Return "VmRSS", the resident MiB of this process, or "VmHWM", the most it ever had (Linux only).

    The figure of getrusage would not do: a process inherits its parent's.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1]) / 1024


def spread(values: list[float], digits: int) -> str:
    """Return the median and, of several rounds, the least and the most."""
    text = f"{statistics.median(values):,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f}..{max(values):,.{digits}f})"


def print_table(size: Size, memory_mib: int, rounds: list[dict[str, Any]]) -> None:
    """Print what the rounds saw."""
    last = rounds[-1]
    print(
        f"{size.queries:,} x {size.gallery:,} images of {size.dimensions:,} dimensions, {len(rounds)} rounds, "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} of PyTorch's threads\n"
    )
    print("| | s | / counting | mAP | Rank-1 | mINP |\n|---|---|---|---|---|---|")
    print(f"| matrix product | {spread([seen['seconds']['product'] for seen in rounds], 2)} | | | | |")
    for name, title in {"ours": "ranking by counting", **LOOPS}.items():
        if name not in last["figures"]:
            continue
        seconds = [seen["seconds"][name] for seen in rounds]
        ratio = spread([seen["seconds"][name] / seen["seconds"]["ours"] for seen in rounds], 1)
        figures = " | ".join(f"{value:.8f}" for value in last["figures"][name].values())
        print(f"| {title} | {spread(seconds, 3)} | {ratio} | {figures} |")
    print(f"\npeak beside the features: {spread([seen['peak_mib'] for seen in rounds], 0)} MiB, allowed {memory_mib}")
    if "difference" in last:
        print(
            f"the loops ran on {last['loop_queries']:,} queries; their seconds are scaled to {size.queries:,}\n"
            f"largest difference of an AP, an INP or the CMC: {max(seen['difference'] for seen in rounds):.1e} but for "
            f"{last['tied_queries']} queries with a positive exactly as near as a negative"
        )


def parse_args() -> argparse.Namespace:
    """Return the command line's settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="market", help="whose numbers of images (default: market)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--memory-mib", type=int, default=512, metavar="N", help="TEST.MEMORY_MIB (default: 512)")
    parser.add_argument(
        "--usual", type=int, metavar="N", help="queries of the usual loop; 0: none (default: all; of msmt17 200)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what every round saw")
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    size = SIZES[args.size]
    args.usual = size.usual if args.usual is None else args.usual
    if args.rounds < 1 or not 0 <= args.usual <= size.queries:
        parser.error(f"expected at least 1 round and 0..{size.queries} queries for the usual loop")
    return args


def main() -> None:
    """Measure, and print a table."""
    args = parse_args()
    size = SIZES[args.size]
    if args.one_round:
        json.dump(measure(size, args.memory_mib, args.usual), sys.stdout)
        return
    command = [sys.executable, __file__, "--one-round", "--size", args.size]
    command += ["--memory-mib", str(args.memory_mib), "--usual", str(args.usual)]
    rounds = []
    for number in range(1, args.rounds + 1):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rounds.append(json.loads(done.stdout))
        seconds = ", ".join(f"{name} {value:.3f} s" for name, value in rounds[-1]["seconds"].items())
        print(f"round {number} of {args.rounds}: {seconds}", file=sys.stderr)
    print_table(size, args.memory_mib, rounds)
    if args.json:
        args.json.write_text(json.dumps({"size": args.size, "memory_mib": args.memory_mib, "rounds": rounds}, indent=2))


if __name__ == "__main__":
    main()
