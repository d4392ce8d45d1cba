"""Measures detection: training and inference of a small detector, and the operators.

    python benchmarks/detection.py [--steps 10]

Prints CPU seconds. The trainer is compared with a plain loop over the same network and batches; NMS and RoIAlign in
plain PyTorch with torchvision's compiled operators, where those run.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from steploop.config import get_cfg
from steploop.engine import SimpleTrainer
from steploop.modeling.layers.nms import _row_by_row
from steploop.modeling.layers.roi_align import _weighted_rows
from steploop.modeling.layers.torchvision_operators import torchvision_operators
from steploop.projects.detection import add_detection_config
from steploop.projects.detection.model import detector_from_config

CONFIG = Path(__file__).parents[1] / "projects/detection/configs/quickstart.yaml"
_BATCH, _SIZE = 8, (128, 192)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="of each measurement (default: 10)")
    steps = parser.parse_args().steps
    batch = make_batch()
    plain, ours = plain_loop(make_model(), batch, steps), trainer(make_model(), batch, steps)
    print(f"training, plain loop: {steps * _BATCH / plain:.1f} images per CPU second")
    print(f"training, trainer:    {steps * _BATCH / ours:.1f} images per CPU second ({ours / plain:.2f} x the time)")
    model = make_model().eval()
    with torch.no_grad():
        seconds = cpu_time(lambda: [model(batch) for _ in range(steps)])
    print(f"inference:            {steps * _BATCH / seconds:.1f} images per CPU second")
    for name, (run, compiled) in operators().items():
        own = cpu_time(run)
        ratio = f", {own / cpu_time(compiled):.2f} x torchvision's" if compiled is not None else ""
        print(f"{name}: {1000 * own:.0f} ms{ratio}")
    if torchvision_operators() is None:
        print("torchvision's operators do not run here: nothing to compare the operators with")


def make_model() -> torch.nn.Module:
    """Return the quickstart's detector."""
    cfg = get_cfg()
    add_detection_config(cfg)
    cfg.merge_from_file(CONFIG)
    cfg.MODEL.NUM_CLASSES = 3
    torch.manual_seed(0)
    return detector_from_config(cfg)


def make_batch() -> dict[str, Any]:
    """Return a batch of random pixels with three boxes in each image."""
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[10.0, 10, 40, 90], [60, 30, 120, 60], [150, 20, 170, 40]])
    images = torch.randint(0, 256, (_BATCH, 3, *_SIZE), dtype=torch.uint8, generator=generator)
    return {"image": images, "boxes": [boxes] * _BATCH, "labels": [torch.arange(3)] * _BATCH}


def plain_loop(model: torch.nn.Module, batch: dict[str, Any], steps: int) -> float:
    """Return the CPU seconds of a loop that only trains."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def loop() -> None:
        for _ in range(steps):
            losses, _ = model(batch)
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()

    return cpu_time(loop)


def trainer(model: torch.nn.Module, batch: dict[str, Any], steps: int) -> float:
    """Return the CPU seconds of the engine's loop."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loop = SimpleTrainer(model, itertools.cycle([batch]), optimizer)
    return cpu_time(lambda: loop.train(0, steps))


def operators() -> dict[str, tuple[Callable[[], Any], Callable[[], Any] | None]]:
    """Return the operators in plain PyTorch and torchvision's (None where they do not run) by name."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(2000, 2, generator=generator) * 700
    boxes = torch.cat((corner, corner + 20 + torch.rand(2000, 2, generator=generator) * 100), dim=1)
    scores = torch.rand(2000, generator=generator)
    features = torch.rand(1, 256, 100, 168, generator=generator)
    rois = torch.cat((torch.zeros(500, 1), boxes[:500]), dim=1)
    compiled = torchvision_operators()
    ours: dict[str, tuple[Callable[[], Any], Callable[[], Any] | None]] = {
        "NMS of 2000 boxes": (lambda: _row_by_row(boxes[scores.argsort(descending=True)].numpy(), 0.7), None),
        "RoIAlign of 500 boxes, 256 channels": (lambda: _weighted_rows(features, rois, (7, 7), 1 / 8, 0, True), None),
    }
    if compiled is None:
        return ours
    return {
        "NMS of 2000 boxes": (ours["NMS of 2000 boxes"][0], lambda: compiled.nms(boxes, scores, 0.7)),
        "RoIAlign of 500 boxes, 256 channels": (
            ours["RoIAlign of 500 boxes, 256 channels"][0],
            lambda: compiled.roi_align(features, rois, (7, 7), 1 / 8, 0, True),
        ),
    }


def cpu_time(run: Callable[[], Any], repeats: int = 2) -> float:
    """Return the CPU seconds of the fastest of some runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
