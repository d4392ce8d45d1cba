"""From an MMAction2 0.x config to one of ours."""

import logging
from collections.abc import Mapping
from typing import Any

from steploop.config import ConfigError
from steploop.engine.cli.mm_settings import RUN_KEYS, check_unit, plain, run_settings

from .data.pipeline import Pipeline

logger = logging.getLogger(__name__)

Values = dict[str, Any]

IGNORED = {
    "dist_params": "the processes meet as --dist-url says",
    "log_level": "the log has every level",
    "opencv_num_threads": "no OpenCV is used",
    "mp_start_method": "workers are forked",
    "eval_config": "TEST.* of the command line",
    "output_config": "results are in OUTPUT_DIR",
    "train_cfg": "read with the model",
    "test_cfg": "read with the model",
    "resume_from": "--resume-from FILE",
    "auto_scale_lr": "learning rates are scaled by hand",
    "mc_cfg": "no memcached is used",
    "custom_imports": "nothing is imported",
}
"""Keys that change nothing, each with the reason."""

# Names that such files define for use inside themselves.
_LOCAL = (
    "dataset_type", "data_root", "data_root_val", "data_root_test", "ann_file_train", "ann_file_val", "ann_file_test",
    "img_norm_cfg", "train_pipeline", "val_pipeline", "test_pipeline", "split", "clip_len", "file_client_args",
    "classes", "num_classes", "frame_interval", "total_epochs",
)  # fmt: skip
_METRICS = ("top_k_accuracy", "mean_class_accuracy", "mean_average_precision", "mmit_mean_average_precision")


def action_from_mm(config: Mapping[str, Any], *, num_processes: int = 1) -> Values:
    """Return the settings, to be merged into a config of ours, that an MMAction2 0.x config stands for.

    Every key is translated, is one of `IGNORED` (which is logged), or is refused by name.

    Args:
        config: what `load_python_config` returned.
        num_processes: of the run: an mm config gives the batch of one process.

    Raises:
        ConfigError: a key or a value that is not supported, or a part that is missing.
    """
    read = (*RUN_KEYS, "model", "data", "evaluation", "precise_bn", *IGNORED, *_LOCAL)
    if unknown := [key for key in config if key not in read and not key.endswith("flip_label_map")]:
        raise ConfigError(f"the key {unknown[0]!r} of the mm config is not supported; remove it")
    for key in ("model", "data"):
        if not isinstance(config.get(key), Mapping):
            raise ConfigError(f"the mm config has no {key!r}, which a training needs")
    values = run_settings(config)
    values["DATALOADER"] = {}
    _model(values, config)
    _data(values, config["data"], num_processes)
    _evaluation(values, config.get("evaluation") or {}, config)
    _precise_bn(values, config)
    if ignored := [f"{key} ({IGNORED[key]})" for key in config if key in IGNORED and config[key]]:
        logger.info("Keys of the mm config that change nothing: %s", "; ".join(ignored))
    return values


def _model(values: Values, config: Mapping[str, Any]) -> None:
    spec = dict(config["model"])
    test_cfg = {**(config.get("test_cfg") or {}), **(spec.get("test_cfg") or {})}
    spec.pop("train_cfg", None)
    spec.pop("test_cfg", None)
    backbone = dict(spec.get("backbone") or {})
    pretrained = backbone.get("pretrained")
    backbone["pretrained"] = None
    spec["backbone"] = backbone
    values["MODEL"]["SPEC"] = plain(spec)
    values["TEST"]["AVERAGE_CLIPS"] = test_cfg.get("average_clips") or "prob"
    values["TEST"]["MAX_VIEWS"] = int(test_cfg.get("max_testing_views") or 0)
    if pretrained and "://" in str(pretrained):
        logger.warning(
            "The mm config starts the backbone from %s, which is not downloaded here: get the file and set "
            "MODEL.BACKBONE_WEIGHTS to its path, or it starts from random weights",
            pretrained,
        )
    elif pretrained:
        values["MODEL"]["BACKBONE_WEIGHTS"] = str(pretrained)


def _data(values: Values, data: Mapping[str, Any], num_processes: int) -> None:
    rest = dict(data)
    batch = rest.pop("videos_per_gpu", rest.pop("samples_per_gpu", 8))
    values["SOLVER"]["IMS_PER_BATCH"] = batch * num_processes
    values["DATALOADER"]["NUM_WORKERS"] = rest.pop("workers_per_gpu", 4)
    loaders = {name: dict(rest.pop(f"{name}_dataloader", None) or {}) for name in ("train", "val", "test")}
    values["TEST"]["IMS_PER_BATCH"] = loaders["val"].get("videos_per_gpu", loaders["test"].get("videos_per_gpu", 1))
    specs = {name: dict(rest.pop(name)) for name in ("train", "val", "test") if name in rest}
    if rest or "train" not in specs:
        raise ConfigError(f"data of the mm config: expected train, val and test; came {', '.join(map(str, data))}")
    # A training is evaluated on val. The views of MMAction2's test.py: --eval-only DATASETS.TEST "('test',)".
    values["DATASETS"] |= {
        "SPECS": {name: plain(spec) for name, spec in specs.items()},
        "TRAIN": ("train",),
        "TEST": ("val",) if "val" in specs else (),
    }
    pixels = Pipeline(_pipeline_of(specs["train"])).pixels
    if pixels is not None:
        values["MODEL"]["PIXEL_MEAN"], values["MODEL"]["PIXEL_STD"] = list(pixels.mean), list(pixels.std)


def _pipeline_of(spec: Mapping[str, Any]) -> list[Any]:
    if "pipeline" in spec:
        return list(spec["pipeline"])
    inner: Mapping[str, Any] = spec.get("dataset") or next(iter(spec.get("datasets", [])), {})
    if not inner:
        raise ConfigError("data.train of the mm config has no pipeline")
    return _pipeline_of(inner)


def _evaluation(values: Values, value: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    check_unit("evaluation", value, config)
    values["TEST"]["EVAL_PERIOD"] = int(value.get("interval", 1 if value else 0))
    metrics = value.get("metrics", "top_k_accuracy")
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if unknown := [str(name) for name in names if name not in _METRICS]:
        raise ConfigError(f"evaluation.metrics of the mm config: {', '.join(unknown)} is none of {', '.join(_METRICS)}")
    best = value.get("save_best")
    if best:
        views = Pipeline(_pipeline_of(config["data"]["val"]))
        name = "top1_acc" if best in (True, "auto", "top1_acc") else str(best)
        name = {"mean_class_accuracy": "mean_class_acc"}.get(name, name)
        values["TEST"]["BEST"] = [[f"val/{name}_{views.num_clips}x{views.num_crops}", "max"]]


def _precise_bn(values: Values, config: Mapping[str, Any]) -> None:
    value = config.get("precise_bn")
    if value:
        values["TEST"]["PRECISE_BN"] = {"ENABLED": True, "NUM_ITER": int(value.get("num_iters", 200))}
