"""Loads the weights of a detector that another library trained, or that was trained on other classes."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from tabulate import tabulate
from torch import Tensor

from steploop.engine.checkpoint.reader import read_checkpoint
from steploop.engine.checkpoint.weights import group_keys

from .checkpoint_names import convert, family_of
from .coco_classes import COCO_CLASSES
from .modeling import Detector

logger = logging.getLogger(__name__)

_MAX_ROWS = 40


class WeightsFile(NamedTuple):
    """What a file of weights holds.

    Attributes:
        family: whose names its weights have: "mmdet", "torchvision" or "detectron2".
        state: name to tensor, in those names.
        classes: the names of its labels, where they are known.
    """

    family: str
    state: dict[str, Tensor]
    classes: tuple[str, ...]


class LoadReport(NamedTuple):
    """What became of a file of weights: names of the model by what happened, and what of the file was left out."""

    loaded: list[str]
    converted: dict[str, str]
    by_class: list[str]
    not_in_file: list[str]
    other_shape: dict[str, str]
    left_out: list[str]

    def table(self) -> str:
        """Return the report as one table; names are grouped like ``layer1.0.{bn1,bn2}.{bias,weight}``."""
        rows = [["loaded", f"{len(self.loaded)} entries", ""]]
        rows += [["rows reordered", name, what] for name, what in self.converted.items()]
        rows += [["rows taken by class", group, ""] for group in group_keys(self.by_class)]
        rows += [["another shape", name, what] for name, what in self.other_shape.items()]
        rows += [["not in the file", group, "keeps its initial value"] for group in group_keys(self.not_in_file)]
        rows += [["not in the model", group, "left out"] for group in group_keys(self.left_out)]
        if len(rows) > _MAX_ROWS:
            rows[_MAX_ROWS:] = [["...", f"and {len(rows) - _MAX_ROWS} more rows", ""]]
        return tabulate(rows, headers=["", "names", ""], tablefmt="simple")


def read_weights(path: str) -> WeightsFile:
    """Read a file of weights with the engine's safe reader.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, would run code (a .pkl of detectron2's model zoo: save its "model" with
            torch.save first), or holds no weights.
    """
    content = read_checkpoint(path)
    state = {name: value for name, value in content["model"].items() if isinstance(value, Tensor)}
    family = family_of(state)
    return WeightsFile(family, state, _classes(content, family, state))


def load_weights_file(
    detector: Detector, file: WeightsFile, *, classes: Sequence[str] = (), by_class: bool = True
) -> LoadReport:
    """Copy into a detector what fits of a file's weights, and log one table of what became of them.

    Args:
        detector: changed in place.
        file: what was read.
        classes: the names of the detector's labels.
        by_class: where the file was trained on other classes, take the rows of those that both have by name.

    Raises:
        ValueError: nothing fits.
    """
    names = file.classes
    converted = convert(file.state, detector.num_classes if len(classes) in (0, 90) else 80)
    own = detector.state_dict()
    fitting, other_shape, shared = {}, {}, []
    for name, value in converted.weights.items():
        if name not in own:
            continue
        if own[name].shape == value.shape and not (by_class and _other_order(name, names, classes)):
            fitting[name] = value
        elif by_class and (rows := _rows_by_class(name, value, own[name], names, classes)) is not None:
            fitting[name] = rows
            shared.append(name)
        else:
            other_shape[name] = f"{tuple(value.shape)} in the file, {tuple(own[name].shape)} in the model: kept"
    if not fitting:
        some = ", ".join(list(file.state)[:3])
        raise ValueError(f"nothing in the file fits this detector: the file has {some}, ...; is it another model's?")
    missing = detector.load_state_dict(fitting, strict=False).missing_keys
    report = LoadReport(
        loaded=sorted(fitting),
        converted=converted.changed,
        by_class=shared,
        # A file of frozen batch normalisation has no such counts, and nothing reads them here.
        not_in_file=[n for n in missing if n not in other_shape and not n.endswith("num_batches_tracked")],
        other_shape=other_shape,
        left_out=[*converted.unknown, *(name for name in converted.weights if name not in own)],
    )
    logger.info("Weights of %s:\n%s", file.family, report.table())
    return report


def _classes(content: Mapping[str, Any], family: str, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    meta = content.get("meta")
    ours = content.get("classes")
    named = meta.get("CLASSES") if isinstance(meta, Mapping) else ours.get("names") if isinstance(ours, Mapping) else ()
    if isinstance(named, str):
        return (named,)
    if isinstance(named, list | tuple) and all(isinstance(name, str) for name in named):
        return tuple(named)
    counts = {"torchvision": 91, "detectron2": 81}
    head = [value for name, value in state.items() if name.endswith("box_predictor.cls_score.bias")]
    if head and len(head[0]) == counts.get(family):
        return COCO_CLASSES
    retina = {"head.classification_head.cls_logits.bias": 819, "head.cls_score.bias": 720}
    if any(name in state and len(state[name]) == rows for name, rows in retina.items()):
        return COCO_CLASSES
    return ()


def _other_order(name: str, theirs: Sequence[str], ours: Sequence[str]) -> bool:
    return bool(_groups(name)) and bool(theirs) and bool(ours) and list(theirs) != list(ours)


def _groups(name: str) -> str:
    """Return how the rows of a weight follow the classes, "" where they do not."""
    for part in ("fc_cls", "fc_reg", "retina_cls"):
        if f".{part}." in name:
            return part
    return ""


def _rows_by_class(name: str, value: Tensor, own: Tensor, theirs: Sequence[str], ours: Sequence[str]) -> Tensor | None:
    """Return the model's tensor with the rows of the classes that both have taken from the file; None if none has."""
    kind = _groups(name)
    pairs = [(ours.index(label), theirs.index(label)) for label in ours if label in theirs]
    if not kind or not pairs or own.shape[1:] != value.shape[1:]:
        return None
    targets, sources = (torch.tensor(side) for side in zip(*pairs))
    result = own.clone()
    if kind == "fc_cls":
        result[targets] = value[sources].to(result)
        result[-1] = value[-1].to(result)  # the background
        return result
    anchors = 1 if kind == "fc_reg" else len(own) // len(ours)
    width = 4 if kind == "fc_reg" else 1
    if len(own) != anchors * len(ours) * width or len(value) != anchors * len(theirs) * width:
        return None
    grouped = result.reshape(anchors, len(ours), width, *own.shape[1:])
    grouped[:, targets] = value.reshape(anchors, len(theirs), width, *own.shape[1:])[:, sources].to(result)
    return grouped.reshape(own.shape)
