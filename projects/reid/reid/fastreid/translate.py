"""From fast-reid's settings to ours: one pure function."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steploop.config.errors import unknown
from steploop.config.nested import leaves

from .defaults import fastreid_defaults
from .keys import IGNORED, RENAMED, SAME, UNBUILT
from .pretrained import pretrained_file

_NORMS = {"bn": "BN", "syncbn": "SyncBN", "ghostbn": "GhostBN", "frozenbn": "FrozenBN", "gn": "GN"}
_SCHEDULES = {"MultiStepLR": "EpochMultiStepLR", "CosineAnnealingLR": "EpochCosineLR"}
_WARMUPS = {"linear": "linear", "constant": "constant", "exp": "exponential", "exponential": "exponential"}
_SAMPLERS = {
    "TrainingSampler": "WholeBatchSampler",
    "NaiveIdentitySampler": "NaiveIdentitySampler",
    "BalancedIdentitySampler": "BalancedIdentitySampler",
    "ImbalancedDatasetSampler": "ImbalancedDatasetSampler",
}


@dataclass
class Translation:
    """What a config of fast-reid's stands for.

    Attributes:
        values: our settings, by dotted key.
        notes: what was ignored or has another meaning, one sentence each, for the log.
    """

    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def translate(config: Mapping[str, Any], *, on_gpu: bool) -> Translation:
    """Return our settings for a complete config of fast-reid's.

    Args:
        config: nested, with every key of `fastreid_defaults`.
        on_gpu: whether a GPU can be used; without one the run is in float32 on the CPU.

    Raises:
        ValueError: a value is none that fast-reid knows, or asks for something that does not work there.
    """
    given = dict(leaves(config))
    defaults = dict(leaves(fastreid_defaults().to_dict()))
    for key, reason in UNBUILT.items():
        if given[key] != defaults[key]:
            raise ValueError(f"{key} is refused: {reason}")
    result = Translation()
    for key in SAME:
        result.values[key] = given[key]
    for key, ours in RENAMED.items():
        result.values[ours] = given[key]
    _translate_backbone(given, result)
    _translate_data(given, result)
    _translate_solver(given, result)
    _translate_device(given, result, on_gpu)
    for key, reason in IGNORED.items():
        if given[key] != defaults[key]:
            result.notes.append(f"{key} is ignored: {reason}")
    return result


def _translate_backbone(given: Mapping[str, Any], result: Translation) -> None:
    values = result.values
    for key in ("MODEL.BACKBONE.NORM", "MODEL.HEADS.NORM"):
        values[key] = _choice(key, str(given[key]).lower(), _NORMS)
    # fast-reid's ResNets pool their stem in its own way; the other networks have no choice.
    values["MODEL.BACKBONE.STEM_POOL"] = "ceil"
    size = list(given["INPUT.SIZE_TRAIN"])
    if given["INPUT.CROP.ENABLED"]:
        size = list(given["INPUT.CROP.SIZE"])
    values["MODEL.BACKBONE.IMAGE_SIZE"] = size if len(size) == 2 else size * 2
    values["MODEL.BACKBONE.STRIDE_SIZE"] = list(given["MODEL.BACKBONE.STRIDE_SIZE"])
    path = given["MODEL.BACKBONE.PRETRAIN_PATH"]
    values["MODEL.BACKBONE.PRETRAIN_PATH"] = ""
    if given["MODEL.BACKBONE.PRETRAIN"]:
        values["MODEL.BACKBONE.PRETRAIN_PATH"] = path or pretrained_file(
            given["MODEL.BACKBONE.NAME"],
            str(given["MODEL.BACKBONE.DEPTH"]),
            with_ibn=given["MODEL.BACKBONE.WITH_IBN"],
            with_se=given["MODEL.BACKBONE.WITH_SE"],
        )
    elif path:
        result.notes.append("MODEL.BACKBONE.PRETRAIN_PATH is ignored: MODEL.BACKBONE.PRETRAIN is False")


def _translate_data(given: Mapping[str, Any], result: Translation) -> None:
    sampler = given["DATALOADER.SAMPLER_TRAIN"]
    if sampler == "SetReWeightSampler" or given["DATALOADER.SET_WEIGHT"]:
        raise ValueError(
            "DATALOADER.SAMPLER_TRAIN SetReWeightSampler (with SET_WEIGHT) cannot run in fast-reid either: it compares "
            "the names of cameras with numbers. Choose NaiveIdentitySampler, or WeightedTrainingSampler with weights"
        )
    # A name of ours is taken too: an override may have set it.
    result.values["DATALOADER.SAMPLER_TRAIN"] = _SAMPLERS.get(sampler, sampler)
    result.values["INPUT.AFFINE.ENABLED"] = given["INPUT.AFFINE.ENABLED"]
    result.values |= {
        "INPUT.AFFINE.DEGREES": 10.0,
        "INPUT.AFFINE.TRANSLATE": 0.0,
        "INPUT.AFFINE.SCALE": [0.9, 1.1],
        "INPUT.AFFINE.SHEAR": 0.1,
    }


def _translate_solver(given: Mapping[str, Any], result: Translation) -> None:
    values = result.values
    values["SOLVER.LR_SCHEDULER_NAME"] = _choice("SOLVER.SCHED", given["SOLVER.SCHED"], _SCHEDULES)
    values["SOLVER.WARMUP_METHOD"] = _choice("SOLVER.WARMUP_METHOD", given["SOLVER.WARMUP_METHOD"], _WARMUPS)
    values["SOLVER.CLIP_GRADIENTS.PER_GROUP"] = True
    # fast-reid keeps two files of a run, the last and the best.
    values["TEST.BEST"] = [[f"{name}/metric", "max"] for name in given["DATASETS.TESTS"][:1]]


def _translate_device(given: Mapping[str, Any], result: Translation, on_gpu: bool) -> None:
    values = result.values
    device = given["MODEL.DEVICE"]
    if device.startswith("cuda") and not on_gpu:
        device = "auto"
        result.notes.append("MODEL.DEVICE is auto: there is no CUDA device here")
    values["MODEL.DEVICE"] = device
    values["SOLVER.AMP.ENABLED"] = given["SOLVER.AMP.ENABLED"] and device.startswith("cuda")
    values["SOLVER.AMP.PRECISION"] = "float16"
    # The scaler of float16 skips steps with infinite gradients, in fast-reid without a limit.
    values["SOLVER.MAX_SKIPPED_STEPS"] = 100 if values["SOLVER.AMP.ENABLED"] else 0
    if given["SOLVER.AMP.ENABLED"] and not values["SOLVER.AMP.ENABLED"]:
        result.notes.append("SOLVER.AMP.ENABLED is ignored: float16 needs a GPU; the run is in float32")


def _choice(key: str, value: str, known: Mapping[str, str]) -> str:
    if value not in known:
        raise ValueError(f"{key}: {unknown('value', value, known)}")
    return known[value]
