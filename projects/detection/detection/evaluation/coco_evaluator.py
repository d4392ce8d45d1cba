"""Collects detections over a test set and measures them; draws some of them."""

import json
import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from steploop.engine import DatasetEvaluator, comm, get_event_storage, has_event_storage

from ..data.coco import read_coco
from ..data.datasets import DetectionData
from ..modeling import Detections
from .coco_figures import Figures, coco_figures, proposal_figures
from .pictures import precision_recall_plot, save_picture, tiles_of

logger = logging.getLogger(__name__)

METRICS = ("bbox", "proposal")


class CocoEvaluator(DatasetEvaluator):
    """Measures detections with COCO's figures, and writes them as COCO's results.

    The results are OUTPUT_DIR/results_<name>.json; pictures are detections_<name>.png and precision_recall_<name>.png.

    Args:
        name: of the test set.
        data: its records.
        output_dir: where to write; "" writes nothing.
        metrics: "bbox", "proposal", or both.
        classwise: also return the average precision of each class, as "AP/<class>".
        num_pictures: so many images are drawn with what was found and the ground truth.
        picture_score: detections with at least this score are drawn.

    Raises:
        ValueError: a metric is unknown, or the data set is joined from several annotation files.
    """

    def __init__(
        self,
        name: str,
        data: DetectionData,
        *,
        output_dir: str = "",
        metrics: Sequence[str] = ("bbox",),
        classwise: bool = True,
        num_pictures: int = 0,
        picture_score: float = 0.3,
    ) -> None:
        unknown = [metric for metric in metrics if metric not in METRICS]
        if unknown or not metrics:
            raise ValueError(f"TEST.METRICS names some of {', '.join(METRICS)}; came {list(metrics)}")
        if len(data.files) != 1:
            raise ValueError(f"{name}: give each annotation file of a test set a name of its own; came {data.files}")
        self._name, self._data, self._classwise = name, data, classwise
        self._metrics = tuple(metrics)
        self._folder = Path(output_dir) if output_dir else None
        self._num_pictures, self._picture_score = num_pictures, picture_score
        self._file_name = name.replace("/", "_")
        coco = read_coco(data.files[0])
        ids = {label: category for category, label in coco.categories.items()}
        self._category_ids = [ids[label] for label in data.classes]
        self._coco = coco
        self._found: list[dict[str, Any]] = []
        self._proposals: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Forget all results."""
        self._found, self._proposals = [], []

    def process(self, inputs: Mapping[str, Any], outputs: Sequence[Detections]) -> None:
        """Take the detections of a batch's images, in pixels of the original images."""
        for image_id, found in zip(inputs["image_id"], outputs, strict=True):
            for box, score, label in zip(_xywh(found.boxes), found.scores.tolist(), found.labels.tolist()):
                entry = {"image_id": image_id, "category_id": self._category_ids[label], "bbox": box}
                self._found.append({**entry, "score": score})
            if "proposal" in self._metrics:
                if found.proposals is None:
                    raise ValueError('TEST.METRICS "proposal" is for detectors with two stages')
                rows = found.proposals
                for box, score in zip(_xywh(rows[:, :4]), rows[:, 4].tolist()):
                    self._proposals.append({"image_id": image_id, "category_id": 1, "bbox": box, "score": score})

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Return {name of the test set: {metric: value in 0..1}} in the main process, else {}."""
        found = list(chain.from_iterable(comm.gather(self._found)))
        proposals = list(chain.from_iterable(comm.gather(self._proposals)))
        if not comm.is_main_process():
            return {}
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"results_{self._file_name}.json").write_text(json.dumps(found))
        results: dict[str, float] = {}
        if "bbox" in self._metrics:
            results |= self._measure_boxes(found)
        if "proposal" in self._metrics:
            results |= proposal_figures(self._annotations(), proposals, image_ids=self._image_ids()).metrics
        rows = [[metric, f"{value:.4f}"] for metric, value in results.items() if "/" not in metric]
        logger.info("%s (fractions in 0..1):\n%s", self._name, tabulate(rows, tablefmt="simple"))
        return {self._name: results}

    def _measure_boxes(self, found: list[dict[str, Any]]) -> dict[str, float]:
        if not found:
            logger.warning("%s: nothing was found in %d images: every figure is 0", self._name, len(self._data.records))
        figures = coco_figures(
            self._annotations(),
            found,
            category_ids=self._category_ids,
            names=self._data.classes,
            image_ids=self._image_ids(),
        )
        for note in figures.notes:
            logger.info("%s: %s", self._name, note)
        self._log_classes(figures, found)
        self._draw(figures, found)
        per_class = {f"AP/{name}": value for name, value in figures.per_class.items()} if self._classwise else {}
        return {**figures.metrics, **per_class}

    def _log_classes(self, figures: Figures, found: list[dict[str, Any]]) -> None:
        truths = list(chain.from_iterable(self._coco.annotations[record.image_id] for record in self._data.records))
        rows = []
        for label, category in zip(self._data.classes, self._category_ids):
            counts = [sum(entry["category_id"] == category for entry in entries) for entries in (truths, found)]
            rows.append([label, *counts, f"{figures.per_class[label]:.4f}"])
        table = tabulate(rows, headers=["class", "ground truth", "found", "AP"], tablefmt="simple")
        logger.info("%s:\n%s", self._name, table)

    def _draw(self, figures: Figures, found: list[dict[str, Any]]) -> None:
        if self._folder is None or self._num_pictures <= 0:
            return
        plot = precision_recall_plot(figures.precision[0], self._data.classes, title=f"{self._name}: IoU 0.5")
        save_picture(plot, self._folder / f"precision_recall_{self._file_name}.png")
        records = list(self._data.records)[: self._num_pictures]
        picture = tiles_of(records, self._data.classes, self._category_ids, found, score=self._picture_score)
        save_picture(picture, self._folder / f"detections_{self._file_name}.png")
        if has_event_storage():
            for title, image in (("precision_recall", plot), ("detections", picture)):
                get_event_storage().put_image(f"{self._name}/{title}", torch.from_numpy(image.copy()).permute(2, 0, 1))

    def _annotations(self) -> dict[str, Any]:
        return {
            "images": list(self._coco.images.values()),
            "annotations": [
                {"area": entry["bbox"][2] * entry["bbox"][3], "iscrowd": 0, **entry, "id": number}
                for number, entry in enumerate(chain.from_iterable(self._coco.annotations.values()), start=1)
            ],
            "categories": [{"id": number, "name": name} for number, name in self._coco.categories.items()],
        }

    def _image_ids(self) -> list[Any]:
        return [record.image_id for record in self._data.records]


def _xywh(boxes: torch.Tensor) -> list[list[float]]:
    rows = boxes.detach().cpu().double()
    return torch.cat((rows[:, :2], rows[:, 2:] - rows[:, :2]), dim=1).tolist()
