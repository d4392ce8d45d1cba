"""Weights of a detector that another library trained, or that was trained on other classes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from steploop.engine.checkpoint import read_checkpoint

from .checkpoint_names import convert, family_of
from .coco_classes import COCO_CLASSES

logger = logging.getLogger(__name__)

Entries = Mapping[str, Any]


class WeightsFile(NamedTuple):
    """What a file of weights says about itself.

    Attributes:
        family: whose names its weights have: "mmdet", "torchvision" or "detectron2".
        classes: the names of its labels, where they are known.
    """

    family: str
    classes: tuple[str, ...]


def describe_weights(path: str) -> WeightsFile:
    """Read a file of weights with the engine's safe reader, and return whose it is.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, would run code (a .pkl of detectron2's model zoo: save its "model" with
            torch.save first), or holds no weights.
    """
    content = read_checkpoint(path)
    state = {name: value for name, value in content["model"].items() if isinstance(value, Tensor)}
    family = family_of(state)
    return WeightsFile(family, _classes(content, family, state))


def detector_converter(
    num_classes: int, *, classes: Sequence[str] = (), file_classes: Sequence[str] = (), by_class: bool = True
) -> Callable[[Entries, Entries], Entries]:
    """Return what brings a file's entries to a detector's names, rows and classes; see the engine's `load_weights`.

    Args:
        num_classes: of the detector.
        classes: the names of its labels.
        file_classes: those of the file.
        by_class: where they differ, take the rows of the classes that both have by name; the others keep their initial
            values. False leaves these weights as they are in the file, and so mostly out.
    """

    def converted(state: Entries, expected: Entries) -> Entries:
        result = convert(state, num_classes)
        for name, what in result.changed.items():
            logger.info("Rows of %s: %s", name, what)
        weights = dict(result.weights) | {name: state[name] for name in result.unknown}
        if by_class and file_classes and classes and list(file_classes) != list(classes):
            for name in [name for name in weights if name in expected]:
                rows = _rows_by_class(name, weights[name], expected[name], file_classes, classes)
                if rows is not None:
                    weights[name] = rows
            shared = ", ".join(name for name in classes if name in file_classes) or "none"
            logger.info("Classes whose rows are taken from the file: %s", shared)
        return weights

    return converted


def _classes(content: Mapping[str, Any], family: str, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    meta, ours = content.get("meta"), content.get("classes")
    named = meta.get("CLASSES") if isinstance(meta, Mapping) else ours.get("names") if isinstance(ours, Mapping) else ()
    if isinstance(named, str):
        return (named,)
    if isinstance(named, list | tuple) and named and all(isinstance(name, str) for name in named):
        return tuple(named)
    counts = {"torchvision": 91, "detectron2": 81}
    head = [value for name, value in state.items() if name.endswith("box_predictor.cls_score.bias")]
    if head and len(head[0]) == counts.get(family):
        return COCO_CLASSES
    retina = {"head.classification_head.cls_logits.bias": 819, "head.cls_score.bias": 720}
    if any(name in state and len(state[name]) == rows for name, rows in retina.items()):
        return COCO_CLASSES
    return ()


def _rows_by_class(name: str, value: Tensor, own: Tensor, theirs: Sequence[str], ours: Sequence[str]) -> Tensor | None:
    """Return the model's tensor with the rows of the classes that both have taken from the file; None if none has."""
    kind = next((part for part in ("fc_cls", "fc_reg", "retina_cls") if f".{part}." in name), "")
    pairs = [(ours.index(label), theirs.index(label)) for label in ours if label in theirs]
    if not kind or not pairs or own.shape[1:] != value.shape[1:]:
        return None
    targets, sources = (torch.tensor(side) for side in zip(*pairs))
    result = own.clone()
    if kind == "fc_cls":
        if len(own) != len(ours) + 1 or len(value) != len(theirs) + 1:
            return None
        result[targets] = value[sources].to(result)
        result[-1] = value[-1].to(result)  # the background
        return result
    width = 4 if kind == "fc_reg" else 1
    anchors = len(own) // (len(ours) * width)
    if len(own) != anchors * len(ours) * width or len(value) != anchors * len(theirs) * width:
        return None
    grouped = result.reshape(anchors, len(ours), width, *own.shape[1:])
    grouped[:, targets] = value.reshape(anchors, len(theirs), width, *own.shape[1:])[:, sources].to(result)
    return grouped.reshape(own.shape)
