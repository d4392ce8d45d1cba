"""Gathers detections of all processes, writes nuScenes' result file and measures it."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from steploop.engine import DatasetEvaluator, comm

from ..data.records import Record
from ..data.view import View
from .boxes import DecodingOptions, camera_boxes, world_boxes
from .metrics import DetectionMetrics, compute_metrics
from .report import class_table
from .truth import Truth
from .world_boxes import WorldBoxes, write_results

logger = logging.getLogger(__name__)


class NuscenesEvaluator(DatasetEvaluator):
    """Measures detections as nuScenes' devkit does.

    Args:
        records: of the split's images, in the order of their indices.
        truth: of the split.
        folder: where results_nusc.json, metrics_summary.json and classes.txt are written; None writes nothing.
        map_size: (width, height) of the network's output maps.
        options: how detections become boxes.
        use_radar: the network has a second stage.
    """

    def __init__(
        self,
        records: Sequence[Record],
        truth: Truth,
        folder: Path | None,
        *,
        map_size: tuple[int, int],
        options: DecodingOptions,
        use_radar: bool,
    ) -> None:
        self._records, self._truth, self._folder = records, truth, folder
        self._map_size, self._options, self._use_radar = map_size, options, use_radar
        self._samples = {token: i for i, token in enumerate(truth.tokens)}
        self._parts: list[WorldBoxes] = []
        self.predicted: WorldBoxes | None = None
        self.metrics: DetectionMetrics | None = None
        for record in records:
            if record["sample_token"] not in self._samples:
                raise ValueError(
                    f"image {record['file']} belongs to sample {record['sample_token']}, which the tables' split does "
                    "not have: convert the tables again"
                )

    def reset(self) -> None:
        """Forget all detections."""
        self._parts = []

    def process(self, inputs: Mapping[str, Any], outputs: Mapping[str, Tensor]) -> None:
        """Take the detections of a batch."""
        arrays = {name: value.cpu().numpy() for name, value in outputs.items()}
        for i, index in enumerate(inputs["index"].tolist()):
            record = self._records[index]
            view = View.whole(record["width"], record["height"])
            of_image = {name: value[i] for name, value in arrays.items()}
            boxes = camera_boxes(
                of_image, record["calib"], view, self._map_size, self._options, has_radar=self._use_radar
            )
            self._parts.append(world_boxes(boxes, record, self._samples[record["sample_token"]], self._options))

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Return {"AP": ..., "Scores": ...} in the main process, as CenterFusion names them; AP in percent."""
        own = WorldBoxes.concatenate(self._parts)
        gathered = comm.gather({field.name: getattr(own, field.name) for field in fields(own)})
        if not comm.is_main_process():
            return {}
        start = time.perf_counter()
        boxes = WorldBoxes.concatenate([WorldBoxes(**part) for part in gathered])
        # The order must not depend on how many processes there are: equal scores are ranked by it.
        boxes = boxes[np.lexsort((boxes.sensor, boxes.sample))].best_of_each_sample()
        self.predicted = boxes
        self.metrics = compute_metrics(self._truth.evaluated_truth(), self._truth.evaluated_predictions(boxes))
        if self._folder is not None:
            self._write(boxes, self.metrics, time.perf_counter() - start)
        logger.info("Classes:\n%s", class_table(self.metrics))
        return figures(self.metrics)

    def _write(self, boxes: WorldBoxes, metrics: DetectionMetrics, seconds: float) -> None:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "results_nusc.json"
        write_results(path, boxes, self._truth.tokens, use_radar=self._use_radar)
        meta = {
            "use_camera": True,
            "use_lidar": False,
            "use_radar": self._use_radar,
            "use_map": False,
            "use_external": False,
        }
        summary = json.dumps(metrics.summary(meta, seconds), indent=2)
        (self._folder / "metrics_summary.json").write_text(summary + "\n")
        (self._folder / "classes.txt").write_text(class_table(metrics) + "\n")
        logger.info("Detections and metrics written to %s", self._folder)


def figures(metrics: DetectionMetrics) -> dict[str, dict[str, float]]:
    """Return the scalars of a training: AP in percent, errors, and NDS."""
    aps = {"overall": 100 * metrics.mean_ap}
    aps["overall_4m"] = 100 * float(np.mean([values[4.0] for values in metrics.aps.values()]))
    aps |= {name: 100 * value for name, value in metrics.mean_dist_aps.items()}
    return {"AP": aps, "Scores": {"NDS": metrics.nds, **metrics.mean_errors}}
