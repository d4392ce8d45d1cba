"""Prints the CPU time and the memory of nuScenes' detection metrics, beside the official devkit's.

    OMP_NUM_THREADS=1 python benchmarks/nuscenes_metrics.py
    OMP_NUM_THREADS=1 python benchmarks/nuscenes_metrics.py --samples 600 --devkit

Made-up boxes in the size of nuScenes val: 6,019 samples with 31 true and 500 predicted boxes each. A third of the true
boxes is found, with noise; the other predictions are anywhere. Each side runs in a process of its own, which first
makes the same boxes in its own form; that is not counted. With --devkit, nuscenes-devkit computes the same figures, if
it can be imported (pip install nuscenes-devkit).
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

from steploop.projects.centerfusion.data.classes import ATTRIBUTES_OF, CLASSES
from steploop.projects.centerfusion.evaluation.metrics import compute_metrics
from steploop.projects.centerfusion.evaluation.world_boxes import WorldBoxes, result_entries

NUM_TRUE, NUM_PREDICTED = 31, 500


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=6019, help="number of samples (default: 6019)")
    parser.add_argument("--devkit", action="store_true", help="also run the official devkit")
    parser.add_argument("--json", metavar="PATH", help="write the figures there")
    parser.add_argument("--side", choices=("ours", "devkit"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps({"ours": run_ours, "devkit": run_devkit}[args.side](args.samples)))
        return
    sides = ["ours", "devkit"] if args.devkit else ["ours"]
    found = {side: in_process(side, args.samples) for side in sides}
    print(f"{args.samples} samples, {NUM_TRUE} true and {NUM_PREDICTED} predicted boxes each")
    for side, figures in found.items():
        print(
            f"{side:7} {figures['seconds']:8.2f} CPU seconds, {figures['peak_mib']:8.0f} MiB beside the boxes' "
            f"{figures['boxes_mib']:.0f} MiB, NDS {figures['nds']:.9f}, mAP {figures['mean_ap']:.9f}"
        )
    if len(found) == 2:
        difference = abs(found["ours"]["nds"] - found["devkit"]["nds"])
        print(f"the devkit takes {found['devkit']['seconds'] / found['ours']['seconds']:.1f} times as long; ", end="")
        print(f"NDS differs by {difference:.1e}")
    if args.json:
        with open(args.json, "w") as file:  # noqa: PTH123
            json.dump(found, file, indent=2)


def in_process(side: str, samples: int) -> dict[str, float]:
    """Return the figures of one side."""
    command = [sys.executable, __file__, "--side", side, "--samples", str(samples)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def make_boxes(samples: int) -> tuple[WorldBoxes, WorldBoxes]:
    """Return true and predicted boxes, the same at every call."""
    rng = np.random.default_rng(0)
    true = draw_boxes(rng, samples, NUM_TRUE)
    predicted = draw_boxes(rng, samples, NUM_PREDICTED)
    hits = np.flatnonzero(rng.random(len(true)) < 1 / 3)
    # The first predictions of a sample stand at true boxes of it.
    place = true.sample[hits] * NUM_PREDICTED + hits % NUM_TRUE
    for name, noise in (("translation", 0.5), ("size", 0.05), ("velocity", 0.5)):
        value = getattr(true, name)[hits]
        getattr(predicted, name)[place] = value + rng.normal(0, noise, value.shape)
    predicted.size[:] = predicted.size.clip(0.1)
    for name in ("label", "rotation", "attribute"):
        getattr(predicted, name)[place] = getattr(true, name)[hits]
    predicted.score[place] = 0.7 + 0.3 * predicted.score[place]
    predicted.score[np.setdiff1d(np.arange(len(predicted)), place)] *= 0.9
    return true, predicted


def draw_boxes(rng: np.random.Generator, samples: int, count: int) -> WorldBoxes:
    """Return `count` boxes of each sample, anywhere up to 50 m away."""
    total = samples * count
    label = rng.integers(len(CLASSES), size=total)
    ranges = np.array([ATTRIBUTES_OF[name] for name in CLASSES])[label]
    first, end = ranges.T
    attribute = np.where(end > first, 1 + first + (rng.random(total) * (end - first)).astype(np.int64), 0)
    yaw = rng.uniform(-np.pi, np.pi, total)
    rotation = np.zeros((total, 4))
    rotation[:, 0], rotation[:, 3] = np.cos(yaw / 2), np.sin(yaw / 2)
    return WorldBoxes(
        sample=np.repeat(np.arange(samples), count),
        translation=rng.uniform(-30, 30, (total, 3)),
        size=rng.uniform(0.5, 5, (total, 3)),
        rotation=rotation,
        velocity=rng.normal(0, 3, (total, 2)),
        label=label,
        attribute=attribute,
        score=rng.random(total),
        sensor=np.zeros(total, np.int64),
    )


def peak_mib() -> float:
    """Return the peak of this process's memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_ours(samples: int) -> dict[str, float]:
    """Measure this project's metrics."""
    true, predicted = make_boxes(samples)
    before, start = peak_mib(), time.process_time()
    metrics = compute_metrics(true, predicted)
    return {
        "seconds": time.process_time() - start,
        "boxes_mib": before,
        "peak_mib": peak_mib() - before,
        "nds": metrics.nds,
        "mean_ap": metrics.mean_ap,
    }


def run_devkit(samples: int) -> dict[str, float]:
    """Measure the official devkit's accumulation, with the filters left out as on our side."""
    from nuscenes.eval.common.data_classes import EvalBoxes  # type: ignore[import-not-found, unused-ignore]
    from nuscenes.eval.detection.algo import (  # type: ignore[import-not-found, unused-ignore]
        accumulate,
        calc_ap,
        calc_tp,
    )
    from nuscenes.eval.detection.config import config_factory  # type: ignore[import-not-found, unused-ignore]
    from nuscenes.eval.detection.data_classes import (  # type: ignore[import-not-found, unused-ignore]
        DetectionBox,
        DetectionMetricDataList,
        DetectionMetrics,
    )

    def eval_boxes(boxes: WorldBoxes) -> Any:
        tokens = [str(i) for i in range(samples)]
        out = EvalBoxes()
        names = ("sample_token", "translation", "size", "rotation", "velocity", "detection_name", "attribute_name")
        for start in range(0, len(boxes), 50_000):
            for entry in result_entries(boxes[start : start + 50_000], tokens):
                box = DetectionBox(**{k: entry[k] for k in names}, detection_score=entry["detection_score"])
                out.add_boxes(entry["sample_token"], [box])
        return out

    config = config_factory("detection_cvpr_2019")
    true, predicted = (eval_boxes(boxes) for boxes in make_boxes(samples))
    before, start = peak_mib(), time.process_time()
    data = DetectionMetricDataList()
    for name in config.class_names:
        for distance in config.dist_ths:
            found = accumulate(true, predicted, name, config.dist_fcn_callable, distance)
            data.set(name, distance, found)
    metrics = DetectionMetrics(config)
    for name in config.class_names:
        for distance in config.dist_ths:
            ap = calc_ap(data[(name, distance)], config.min_recall, config.min_precision)
            metrics.add_label_ap(name, distance, ap)
        for error in ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err"):
            undefined = {"traffic_cone": ("attr_err", "vel_err", "orient_err"), "barrier": ("attr_err", "vel_err")}
            value = np.nan
            if error not in undefined.get(name, ()):
                value = calc_tp(data[(name, config.dist_th_tp)], config.min_recall, error)
            metrics.add_label_tp(name, error, value)
    return {
        "seconds": time.process_time() - start,
        "boxes_mib": before,
        "peak_mib": peak_mib() - before,
        "nds": metrics.nd_score,
        "mean_ap": metrics.mean_ap,
    }


if __name__ == "__main__":
    main()
