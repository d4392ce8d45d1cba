"""Tells whether two runs ended in the same bits: their checkpoints, their metrics and their results.

    python benchmarks/compare_runs.py output/one output/other

Prints what differs. The exit status is 0 if nothing does, else 1.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from steploop.engine.checkpoint import read_checkpoint

# What tells how fast a machine was, and nothing of the run.
TIMES = {"time", "data_time", "rank_data_time", "eta_seconds", "max_mem"}
TIMES |= {f"time/{phase}" for phase in ("data", "forward", "backward", "optimizer", "hooks")}
# What tells by which command, and in which state of a checkout, a checkpoint was written.
ORIGIN = "manifest"


def differences(one: Path, other: Path) -> Iterator[str]:
    """Yield a line for each thing in which two OUTPUT_DIRs differ.

    Every tensor and every other value of every checkpoint, but for its manifest, is compared bit for bit, so that NaN
    equals NaN and 0.0 is not -0.0; metrics.json is compared line for line without the keys in `TIMES`; results.json as
    text.
    """
    names = [sorted(path.name for path in folder.glob("*.pth")) for folder in (one, other)]
    if names[0] != names[1]:
        yield f"the checkpoints: {names[0]} and {names[1]}"
    for name in sorted({*names[0]} & {*names[1]}):
        contents = [read_checkpoint(folder / name) for folder in (one, other)]
        for content in contents:
            content.pop(ORIGIN, None)
        yield from _in_values(contents[0], contents[1], name)
    yield from _in_lines(_metrics(one), _metrics(other))
    results = [path.read_text() if path.exists() else None for path in (one / "results.json", other / "results.json")]
    if results[0] != results[1]:
        yield f"results.json: {results[0]} and {results[1]}"


def _in_values(one: Any, other: Any, path: str) -> Iterator[str]:
    if type(one) is not type(other):
        yield f"{path}: a {type(one).__name__} and a {type(other).__name__}"
    elif isinstance(one, dict):
        if one.keys() != other.keys():
            yield f"{path}: the keys {sorted(map(str, one.keys() ^ other.keys()))} are in one only"
        for key in one.keys() & other.keys():
            yield from _in_values(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            yield f"{path}: {len(one)} and {len(other)} elements"
        for index, (left, right) in enumerate(zip(one, other)):
            yield from _in_values(left, right, f"{path}[{index}]")
    elif isinstance(one, torch.Tensor):
        if one.dtype != other.dtype or one.shape != other.shape:
            yield f"{path}: {one.dtype} {tuple(one.shape)} and {other.dtype} {tuple(other.shape)}"
        elif not torch.equal(_bytes(one), _bytes(other)):
            distance = (one.double() - other.double()).abs().max().item()
            yield f"{path}: tensors that differ by up to {distance:.3g}"
    elif repr(one) != repr(other):
        yield f"{path}: {one!r} and {other!r}"


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _metrics(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.json"
    lines = path.read_text().splitlines() if path.exists() else []
    return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]


def _in_lines(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> Iterator[str]:
    if len(one) != len(other):
        yield f"metrics.json: {len(one)} and {len(other)} lines"
    for number, (left, right) in enumerate(zip(one, other), start=1):
        if json.dumps(left, sort_keys=True) != json.dumps(right, sort_keys=True):
            yield f"metrics.json, line {number}: {left} and {right}"


def main() -> int:
    """Compare the folders of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs=2, help="the OUTPUT_DIR of a run")
    parser.add_argument("--most", type=int, default=20, metavar="N", help="lines to print (default: 20)")
    args = parser.parse_args()
    for folder in args.run:
        if not folder.is_dir():
            parser.error(f"{folder} is no folder")
    found = list(differences(*args.run))
    for line in found[: args.most]:
        print(line)
    if len(found) > args.most:
        print(f"... and {len(found) - args.most} more")
    print("the runs differ" if found else "the runs agree bit for bit")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
