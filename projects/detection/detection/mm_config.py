"""From an MMDetection config to one of ours."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from steploop.config import ConfigError

from .data.pipeline import pixels_of

logger = logging.getLogger(__name__)

Values = dict[str, Any]

IGNORED = {
    "dataset_type": "used inside the file only",
    "data_root": "used inside the file only",
    "img_norm_cfg": "used inside the file only",
    "train_pipeline": "used inside the file only",
    "test_pipeline": "used inside the file only",
    "img_scale": "used inside the file only",
    "file_client_args": "used inside the file only",
    "classes": "used inside the file only",
    "norm_cfg": "used inside the file only",
    "dist_params": "the processes meet as --dist-url says",
    "log_level": "the log has every level",
    "opencv_num_threads": "no OpenCV is used",
    "mp_start_method": "workers are forked",
    "find_unused_parameters": "DDP.FIND_UNUSED_PARAMETERS; no part of these models is unused",
    "total_epochs": "as runner.max_epochs",
    "gpu_ids": "--num-gpus",
}
"""Keys that change nothing, each with the reason."""

_SUPPORTED_HOOKS = ("NumClassCheckHook", "CheckInvalidLossHook")


def detection_from_mm(config: Mapping[str, Any], *, num_processes: int = 1) -> Values:
    """Return the settings, to be merged into a config of ours, that an MMDetection 2.x config stands for.

    Every key is translated, is one of `IGNORED` (which is logged), or is refused by name.

    Args:
        config: what `load_python_config` returned.
        num_processes: of the run: an mm config gives the batch of one process.

    Raises:
        ConfigError: a key or a value that is not supported, or a part that is missing.
    """
    values: Values = {"MODEL": {}, "DATASETS": {}, "DATALOADER": {}, "SOLVER": {}, "TEST": {}, "INPUT": {}}
    translate: dict[str, Callable[[Any], None]] = {
        "model": lambda value: _model(values, config),
        "train_cfg": lambda value: None,  # read with the model
        "test_cfg": lambda value: None,
        "data": lambda value: _data(values, value, num_processes),
        "optimizer": lambda value: _optimizer(values, value),
        "optimizer_config": lambda value: _optimizer_config(values, value),
        "lr_config": lambda value: _schedule(values, config),
        "runner": lambda value: None,  # read first: it says what the others count in
        "checkpoint_config": lambda value: _checkpoints(values, value, config),
        "evaluation": lambda value: _evaluation(values, value, config),
        "log_config": lambda value: _logging(values, value),
        "custom_hooks": lambda value: _custom_hooks(value),
        "load_from": lambda value: _set(values, "MODEL.WEIGHTS", value or ""),
        "resume_from": lambda value: _set(values, "MODEL.WEIGHTS", value) if value else None,
        "work_dir": lambda value: values.update(OUTPUT_DIR=value or ""),
        "seed": lambda value: values.update(SEED=-1 if value is None else value),
        "cudnn_benchmark": lambda value: values.update(CUDNN_BENCHMARK=bool(value)),
        "fp16": lambda value: _set(values, "SOLVER.AMP", {"ENABLED": value is not None}),
        "auto_scale_lr": lambda value: _auto_scale(values, value),
        "workflow": lambda value: _workflow(values, value),
    }
    for key in ("model", "data", "optimizer", "lr_config"):
        if not isinstance(config.get(key), Mapping):
            raise ConfigError(f"the mm config has no {key!r}, which a training of a detector needs")
    _length(values, config)
    ignored = []
    for key, value in config.items():
        if key in translate:
            translate[key](value)
        elif key in IGNORED:
            ignored.append(f"{key} ({IGNORED[key]})")
        else:
            raise ConfigError(
                f"the key {key!r} of the mm config is not supported; remove it, or set it to nothing by --cfg-options"
            )
    if ignored:
        logger.info("Keys of the mm config that change nothing: %s", "; ".join(ignored))
    return values


def _model(values: Values, config: Mapping[str, Any]) -> None:
    spec = dict(config["model"])
    for key in ("train_cfg", "test_cfg"):  # beside the model before 2.11, inside it since
        if key in config:
            spec[key] = config[key]
    pretrained = spec.pop("pretrained", None)
    backbone = dict(spec.get("backbone", {}))
    init = backbone.pop("init_cfg", None)
    if isinstance(init, Mapping) and init.get("type") == "Pretrained":
        pretrained = init.get("checkpoint")
    spec["backbone"] = backbone
    values["MODEL"]["SPEC"] = _plain(spec)
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
    batch = rest.pop("samples_per_gpu", rest.pop("imgs_per_gpu", 2))
    values["SOLVER"]["IMS_PER_BATCH"] = batch * num_processes
    values["DATALOADER"]["NUM_WORKERS"] = rest.pop("workers_per_gpu", 2)
    loaders = {name: rest.pop(f"{name}_dataloader", {}) for name in ("train", "val", "test")}
    values["TEST"]["IMS_PER_BATCH"] = loaders["test"].get("samples_per_gpu", 1)
    specs = {name: rest.pop(name) for name in ("train", "val", "test") if name in rest}
    rest.pop("persistent_workers", None)
    if rest or "train" not in specs:
        raise ConfigError(f"data of the mm config: expected train, val and test; came {', '.join(map(str, data))}")
    # The evaluation during a training is of val, as is MMDetection's; that of --eval-only too, unless TEST is set.
    values["DATASETS"] = {
        "SPECS": {name: _plain(spec) for name, spec in specs.items()},
        "TRAIN": ("train",),
        "TEST": ("val",) if "val" in specs else (),
    }
    pixels = pixels_of(_pipeline_of(specs["train"]))
    if pixels is not None:
        values["MODEL"]["PIXEL_MEAN"] = list(map(float, pixels.mean))
        values["MODEL"]["PIXEL_STD"] = list(map(float, pixels.std))
        values["MODEL"]["PIXEL_ORDER"] = "RGB" if pixels.to_rgb else "BGR"


def _pipeline_of(spec: Mapping[str, Any]) -> list[Any]:
    if "pipeline" in spec:
        return list(spec["pipeline"])
    inner: Mapping[str, Any] = spec.get("dataset") or next(iter(spec.get("datasets", [])), {})
    return _pipeline_of(inner) if inner else []


def _optimizer(values: Values, optimizer: Mapping[str, Any]) -> None:
    rest = dict(optimizer)
    solver = values["SOLVER"]
    solver["OPT"] = rest.pop("type")
    solver["BASE_LR"] = float(rest.pop("lr"))
    decay = float(rest.pop("weight_decay", 0.0))
    solver.update(WEIGHT_DECAY=decay, WEIGHT_DECAY_NORM=None, WEIGHT_DECAY_BIAS=None)
    solver["MOMENTUM"] = float(rest.pop("momentum", 0.0 if solver["OPT"] == "SGD" else 0.9))
    solver["NESTEROV"] = bool(rest.pop("nesterov", False))
    paramwise = dict(rest.pop("paramwise_cfg", None) or {})
    bias_lr, bias_decay = paramwise.pop("bias_lr_mult", 1.0), paramwise.pop("bias_decay_mult", 1.0)
    norm_decay = paramwise.pop("norm_decay_mult", 1.0)
    solver["BIAS_LR_FACTOR"] = float(bias_lr)
    if bias_decay != 1:
        solver["WEIGHT_DECAY_BIAS"] = decay * bias_decay
    if norm_decay != 1:
        solver["WEIGHT_DECAY_NORM"] = decay * norm_decay
    if paramwise:
        raise ConfigError(f"optimizer.paramwise_cfg of the mm config: {', '.join(paramwise)} is not supported")
    if rest:
        solver["OPT_ARGS"] = _plain(rest)


def _optimizer_config(values: Values, config: Mapping[str, Any] | None) -> None:
    rest = dict(config or {})
    kind = rest.pop("type", "OptimizerHook")
    clip = rest.pop("grad_clip", None)
    if kind == "Fp16OptimizerHook":
        rest.pop("loss_scale", None)
        rest.pop("distributed", None)
        values["SOLVER"]["AMP"] = {"ENABLED": True}
    elif kind == "GradientCumulativeOptimizerHook":
        values["SOLVER"]["ACCUMULATE"] = rest.pop("cumulative_iters", 1)
        values["SOLVER"]["IMS_PER_BATCH"] = values["SOLVER"].get("IMS_PER_BATCH", 2) * values["SOLVER"]["ACCUMULATE"]
    elif kind != "OptimizerHook":
        raise ConfigError(f"optimizer_config of the mm config: the type {kind!r} is not supported")
    if clip:
        values["SOLVER"]["CLIP_GRADIENTS"] = {
            "ENABLED": True,
            "CLIP_TYPE": "norm",
            "CLIP_VALUE": float(clip["max_norm"]),
            "NORM_TYPE": float(clip.get("norm_type", 2)),
        }


_POLICIES = {
    "step": "WarmupMultiStepLR",
    "CosineAnnealing": "WarmupCosineLR",
    "cosine": "WarmupCosineLR",
    "poly": "WarmupPolyLR",
    "fixed": "WarmupConstantLR",
}


def _schedule(values: Values, config: Mapping[str, Any]) -> None:
    rest, solver = dict(config["lr_config"]), values["SOLVER"]
    policy = rest.pop("policy")
    if policy not in _POLICIES:
        raise ConfigError(f"lr_config.policy {policy!r} of the mm config is not supported; it is one of {_known()}")
    solver["LR_SCHEDULER_NAME"] = _POLICIES[policy]
    by_epoch = rest.pop("by_epoch", _in_epochs(config))
    if policy == "step":
        steps = rest.pop("step")
        solver["STEPS"] = tuple(steps) if isinstance(steps, list | tuple) else _every(steps, config)
        solver["GAMMA"] = float(rest.pop("gamma", 0.1))
        if by_epoch != _in_epochs(config):
            raise ConfigError("lr_config.by_epoch of the mm config must count as its runner does: epochs or iterations")
    base = float(config["optimizer"]["lr"])
    end = rest.pop("min_lr", None)
    ratio = rest.pop("min_lr_ratio", None)
    solver["BASE_LR_END"] = float(end if end is not None else base * (ratio or 0.0))
    if policy == "poly":
        solver["POLY_LR_POWER"] = float(rest.pop("power", 1.0))
    method = rest.pop("warmup", None)
    iters, ratio = rest.pop("warmup_iters", 0), rest.pop("warmup_ratio", 0.1)
    warm_epochs = rest.pop("warmup_by_epoch", False)
    methods = {"linear": "linear", "constant": "constant", "exp": "exponential"}
    solver["WARMUP_ITERS"] = 0
    if method is not None:
        solver["WARMUP_METHOD"], solver["WARMUP_FACTOR"] = methods[method], float(ratio)
        solver["WARMUP_EPOCHS" if warm_epochs else "WARMUP_ITERS"] = float(iters) if warm_epochs else int(iters)
    if rest:
        raise ConfigError(f"lr_config of the mm config: {', '.join(rest)} is not supported")


def _every(step: int, config: Mapping[str, Any]) -> tuple[int, ...]:
    runner = config.get("runner") or {}
    length = runner.get("max_epochs", runner.get("max_iters", config.get("total_epochs", 0)))
    return tuple(range(step, length, step))


def _known() -> str:
    return ", ".join(_POLICIES)


def _in_epochs(config: Mapping[str, Any]) -> bool:
    runner = config.get("runner") or {}
    return bool(runner.get("type", "EpochBasedRunner") == "EpochBasedRunner")


def _length(values: Values, config: Mapping[str, Any]) -> None:
    runner, solver = config.get("runner") or {}, values["SOLVER"]
    if _in_epochs(config):
        epochs = runner.get("max_epochs", config.get("total_epochs"))
        if epochs is None:
            raise ConfigError("the mm config says no length: it needs runner.max_epochs, total_epochs or max_iters")
        solver["MAX_EPOCH"] = int(epochs)
    elif runner.get("type") == "IterBasedRunner":
        solver["MAX_ITER"], solver["MAX_EPOCH"] = int(runner["max_iters"]), 0
    else:
        raise ConfigError(f"runner.type {runner.get('type')!r} of the mm config is not supported")


def _checkpoints(values: Values, value: Mapping[str, Any] | None, config: Mapping[str, Any]) -> None:
    value = value or {"interval": 0}
    _check_unit("checkpoint_config", value, config)
    values["SOLVER"]["CHECKPOINT_PERIOD"] = max(0, int(value.get("interval", 1)))
    values["SOLVER"]["CHECKPOINT_MAX_TO_KEEP"] = max(0, int(value.get("max_keep_ckpts", 0)))


def _evaluation(values: Values, value: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    _check_unit("evaluation", value, config)
    values["TEST"]["EVAL_PERIOD"] = int(value.get("interval", 1))
    metric = value.get("metric", "bbox")
    metrics = (metric,) if isinstance(metric, str) else tuple(metric)
    unknown = [name for name in metrics if name not in ("bbox", "proposal")]
    if unknown:
        raise ConfigError(f"evaluation.metric of the mm config: {', '.join(unknown)} is not bbox or proposal")
    values["TEST"]["METRICS"] = metrics
    values["TEST"]["CLASSWISE"] = bool(value.get("classwise", True))
    best = value.get("save_best")
    if best:
        name = "bbox_mAP" if best == "auto" else best
        values["TEST"]["BEST"] = [[f"val/{name.removeprefix('bbox_')}" if "/" not in name else name, "max"]]


def _check_unit(key: str, value: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    if value.get("by_epoch", _in_epochs(config)) != _in_epochs(config):
        raise ConfigError(f"{key}.by_epoch of the mm config must count as its runner does: epochs or iterations")


def _logging(values: Values, value: Mapping[str, Any]) -> None:
    values["LOG_PERIOD"] = int(value.get("interval", 10))
    writers = {"TextLoggerHook": ("console", "json"), "TensorboardLoggerHook": ("tensorboard",)}
    writers |= {"WandbLoggerHook": ("wandb",), "MlflowLoggerHook": ("mlflow",)}
    names = [hook.get("type") for hook in value.get("hooks", [])]
    unknown = [str(name) for name in names if name not in writers]
    if unknown:
        raise ConfigError(f"log_config.hooks of the mm config: {', '.join(unknown)} is not supported")
    values["WRITERS"] = tuple(dict.fromkeys(writer for name in names for writer in writers[name]))


def _custom_hooks(hooks: Any) -> None:
    for hook in hooks or []:
        if hook.get("type") not in _SUPPORTED_HOOKS:
            raise ConfigError(f"custom_hooks of the mm config: {hook.get('type')!r} is not supported; remove it")


def _auto_scale(values: Values, value: Mapping[str, Any] | None) -> None:
    if value and value.get("enable"):
        values["SOLVER"]["REFERENCE_BATCH"] = int(value["base_batch_size"])


def _workflow(values: Values, value: Any) -> None:
    modes = [mode for mode, _ in value]
    if modes not in (["train"], ["train", "val"]):
        raise ConfigError(f"workflow of the mm config is train, or train and val; came {value!r}")
    if modes == ["train", "val"]:
        values["DATASETS"]["VAL"] = ("val",)
        values["TEST"]["LOSS_PERIOD"] = int(value[0][1])


def _set(values: Values, key: str, value: Any) -> None:
    section, _, name = key.partition(".")
    values[section][name] = value


def _plain(value: Any) -> Any:
    """Return a copy in which every dict's keys are strings without dots, as a config wants them."""
    if isinstance(value, Mapping):
        odd = [key for key in value if not isinstance(key, str) or "." in key or not key]
        if odd:
            raise ConfigError(f"the mm config has the key {odd[0]!r}, which a section cannot have")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value
