"""Prints what one and two processes of this machine train in a second, and what many would send: docs/distributed.md.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py

Two processes share the batch, so that each computes half as much. What the machine itself makes of two processes at
once is measured too: a convolution in one process, and the same in two at the same time.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from steploop.engine.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[1]
TRAIN = [sys.executable, str(ROOT / "projects/reid/train_net.py")]
TRAIN += ["--config-file", str(ROOT / "projects/reid/configs/quickstart.yaml")]
LOG_PERIOD = 20
SETTINGS = ["MODEL.DEVICE", "cpu", "DATASETS.TEST", "()", "DATALOADER.NUM_WORKERS", "0", "SOLVER.MAX_ITER", "40"]
SETTINGS += ["LOG_PERIOD", str(LOG_PERIOD)]
WORLD_SIZES = (8, 64, 1024)


def seconds_per_step(processes: int, folder: Path) -> float:
    """Train 40 steps; the trainer's own figure leaves out the first ones."""
    command = [*TRAIN, "--num-gpus", str(processes), *SETTINGS, "OUTPUT_DIR", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = re.search(r"Overall training speed.*\(([\d.]+) s / it\)", (folder / "log.txt").read_text())
    assert found is not None, "the log does not tell the speed"
    return float(found[1])


def convolve() -> float:
    """Return the seconds of a convolution, the same work in every call."""
    layer, images = torch.nn.Conv2d(64, 64, 3, padding=1), torch.randn(32, 64, 48, 24)
    times = []
    with torch.no_grad():
        for _ in range(60):
            start = time.perf_counter()
            layer(images)
            times.append(time.perf_counter() - start)
    return sorted(times)[30]


def convolve_at_once(processes: int) -> float:
    """Return the longest of the medians of so many processes at the same time."""
    command = [sys.executable, __file__, "convolve"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return max(float(process.communicate()[0]) for process in started)


def main() -> None:
    """Measure, and print two tables."""
    with tempfile.TemporaryDirectory() as folder:
        steps = {processes: seconds_per_step(processes, Path(folder, str(processes))) for processes in (1, 2)}
        checkpoint = Path(folder, "2", "model_final.pth")
        size = checkpoint.stat().st_size
        moments = read_checkpoint(checkpoint)["trainer"]["_trainer"]["optimizer"]["state"]
        gradients = sum(4 * state["exp_avg"].numel() for state in moments.values())
        log = Path(folder, "2", "log.txt").read_text()
    print(f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '(not set)')}\n")
    print("| processes | s / step | steps / s | a convolution in each at once, ms |\n|---|---|---|---|")
    for processes, seconds in steps.items():
        print(f"| {processes} | {seconds:.3f} | {1 / seconds:.2f} | {1000 * convolve_at_once(processes):.0f} |")
    names = len(set(re.findall(r"(total_loss|loss_\w+|cls_accuracy):", log))) + 1  # and the data time
    metrics = 8 * (2 + 2 * names * LOG_PERIOD)
    print(f"\nnames: {names}, gradients: {gradients:,} bytes, checkpoint: {size:,} bytes\n")
    print("| ranks | gradients, a step | metrics, a reading | checkpoint, read at a resume |\n|---|---|---|---|")
    for ranks in WORLD_SIZES:
        ring = 2 * (ranks - 1) / ranks * gradients
        print(f"| {ranks:,} | {ring / 1e6:.1f} MB | {ranks * metrics / 1e3:,.0f} kB | {ranks * size / 1e6:,.0f} MB |")


if __name__ == "__main__":
    if sys.argv[1:] == ["convolve"]:
        print(convolve())
    else:
        main()
