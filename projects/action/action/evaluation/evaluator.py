"""Measures recognition on a test set: accuracies, or mean average precision where videos have several labels."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tabulate import tabulate
from torch import Tensor

from steploop.engine import DatasetEvaluator, comm, get_event_storage, has_event_storage

from .metrics import (
    average_views,
    confusion_matrix,
    mean_average_precision,
    mean_class_accuracy,
    mmit_mean_average_precision,
    top_k_accuracy,
)
from .pictures import clip_strip, confusion_picture, stack

logger = logging.getLogger(__name__)


class ActionEvaluator(DatasetEvaluator):
    """Averages the views of each video and measures.

    The figures, fractions in 0..1, have the number of views in their names: "top1_acc_1x1" is of one clip and one crop,
    "top1_acc_10x3" of ten clips and three crops. "view_top1_acc_10x3" counts each view by itself.

    Args:
        name: of the test set.
        classes: names of the labels.
        views: (clips, crops) of each video.
        average: "prob" or "score", see `average_views`; "score" is a part of the figures' names.
        topk: k of the accuracies.
        multi_class: whether a video may have several labels: then "mean_average_precision" and "mmit_map".
        output_dir: where pictures are written; "" writes none.
        num_pictures: clips that are drawn with their predictions.
    """

    def __init__(
        self,
        name: str,
        classes: Sequence[str],
        *,
        views: tuple[int, int],
        average: str = "prob",
        topk: Sequence[int] = (1, 5),
        multi_class: bool = False,
        output_dir: str = "",
        num_pictures: int = 0,
    ) -> None:
        average_views(np.zeros((1, 1, 1)), average)  # refuses an unknown name before anything is computed
        self._name, self._classes, self._average = name, tuple(classes), average
        self._suffix = f"_{views[0]}x{views[1]}" + ("_score" if average == "score" else "")
        self._topk, self._multi_class = tuple(topk), multi_class
        self._folder, self._num_pictures = Path(output_dir) if output_dir else None, num_pictures
        self.reset()

    def reset(self) -> None:
        """Forget all results."""
        self._scores: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._view_hits: list[Tensor] = []
        self._strips: list[np.ndarray] = []

    def process(self, inputs: Mapping[str, Any], outputs: Tensor) -> None:
        """Take the logits (N, views, classes) of a batch."""
        logits = outputs.detach().float().cpu()
        labels = inputs["label"].cpu()
        scores = torch.from_numpy(average_views(logits.numpy(), self._average))
        self._scores.append(scores)
        self._labels.append(labels)
        if labels.ndim == 1:
            self._view_hits.append((logits.argmax(dim=2) == labels[:, None]).float().mean(dim=1))
        self._draw_clips(inputs, scores, labels)

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Return {name of the test set: {figure: value}} in the main process, else {}."""
        num_classes = len(self._classes)
        empty_labels = torch.empty(0, num_classes) if self._multi_class else torch.empty(0, dtype=torch.int64)
        scores = _gathered(self._scores, torch.empty(0, num_classes))
        labels = _gathered(self._labels, empty_labels)
        hits = _gathered(self._view_hits, torch.empty(0))
        if not comm.is_main_process():
            return {}
        figures = self._several(scores, labels) if self._multi_class else self._single(scores, labels, hits)
        rows = [[name, f"{value:.4f}"] for name, value in figures.items()]
        logger.info(
            "%s, %d videos (fractions in 0..1):\n%s", self._name, len(scores), tabulate(rows, tablefmt="simple")
        )
        self._write("clips", stack(self._strips) if self._strips else None)
        return {self._name: figures}

    def _single(self, scores: np.ndarray, labels: np.ndarray, hits: np.ndarray) -> dict[str, float]:
        figures = {
            f"top{k}_acc{self._suffix}": value
            for k, value in zip(self._topk, top_k_accuracy(scores, labels, self._topk))
        }
        figures[f"mean_class_acc{self._suffix}"] = mean_class_accuracy(scores, labels)
        figures[f"view_top1_acc{self._suffix}"] = float(hits.mean())
        predicted = scores.argmax(axis=1)
        matrix = confusion_matrix(predicted, labels)
        occurring = np.unique(np.concatenate((predicted, labels)))
        names = [self._classes[label] for label in occurring]
        self._log_classes(matrix, names)
        self._write("confusion", confusion_picture(matrix, names, title=f"{self._name}: {len(labels)} videos"))
        return figures

    def _several(self, scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        return {
            f"mean_average_precision{self._suffix}": mean_average_precision(scores, truth),
            f"mmit_map{self._suffix}": mmit_mean_average_precision(scores, truth),
        }

    def _log_classes(self, matrix: np.ndarray, names: Sequence[str]) -> None:
        rows = []
        for row, name in enumerate(names):
            count, right = int(matrix[row].sum()), int(matrix[row, row])
            others = matrix[row].copy()
            others[row] = 0
            confused = f"{names[int(others.argmax())]} ({others.max()})" if others.any() else ""
            rows.append([name, count, f"{right / count:.4f}" if count else "", confused])
        table = tabulate(rows, headers=["class", "videos", "recognised", "most often taken for"], tablefmt="simple")
        logger.info("%s:\n%s", self._name, table)

    def _draw_clips(self, inputs: Mapping[str, Any], scores: Tensor, labels: Tensor) -> None:
        if not comm.is_main_process():
            return
        for row in range(min(len(scores), self._num_pictures - len(self._strips))):
            best = int(scores[row].argmax())
            true = labels[row].nonzero().flatten().tolist() if labels.ndim > 1 else [int(labels[row])]
            names = ", ".join(self._classes[label] for label in true)
            text = f"{self._classes[best]} {scores[row, best]:.2f}   (true: {names})"
            clip = inputs["imgs"][row, 0].cpu().numpy()
            self._strips.append(clip_strip(clip, text, right=best in true))

    def _write(self, title: str, picture: np.ndarray | None) -> None:
        if picture is None or self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(self._folder / f"{title}_{self._name.replace('/', '_')}.png")
        if has_event_storage():
            get_event_storage().put_image(
                f"{self._name}/{title}", torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
            )


def _gathered(parts: Sequence[Tensor], empty: Tensor) -> np.ndarray:
    own = torch.cat(list(parts)) if parts else empty
    found = comm.gather_tensor(own)
    return torch.cat(found).numpy() if found else empty.numpy()
