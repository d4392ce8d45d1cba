"""What mm configs of every kind of model say alike: optimizer, schedule, length, checkpoints, log, places."""

from collections.abc import Mapping
from typing import Any

from steploop.config import ConfigError

Values = dict[str, Any]

RUN_KEYS = (
    "optimizer", "optimizer_config", "lr_config", "runner", "total_epochs", "checkpoint_config", "log_config",
    "load_from", "resume_from", "work_dir", "seed", "cudnn_benchmark", "workflow", "find_unused_parameters", "fp16",
    "gpu_ids",
)  # fmt: skip
"""The keys that `run_settings` reads."""

_POLICIES = {
    "step": "WarmupMultiStepLR",
    "CosineAnnealing": "WarmupCosineLR",
    "cosine": "WarmupCosineLR",
    "poly": "WarmupPolyLR",
    "fixed": "WarmupConstantLR",
}
_WARM_UPS = {"linear": "linear", "constant": "constant", "exp": "exponential"}
_WRITERS = {
    "TextLoggerHook": ("console", "json"),
    "TensorboardLoggerHook": ("tensorboard",),
    "WandbLoggerHook": ("wandb",),
    "MlflowLoggerHook": ("mlflow",),
}


def run_settings(config: Mapping[str, Any]) -> Values:
    """Return the settings of `RUN_KEYS`, to be merged into a config of ours, as mmcv 1.x runs them.

    A decay by epoch is a staircase (SOLVER.LR_STAIRS), a warm-up multiplies (SOLVER.WARMUP_MULTIPLIES), every parameter
    decays, and gradients are clipped by their total norm.

    Raises:
        ConfigError: a key or value that is not supported, or a part that is missing.
    """
    values: Values = {"SOLVER": {}, "MODEL": {}, "DATASETS": {}, "TEST": {}, "DDP": {}}
    _optimizer(values["SOLVER"], _section(config, "optimizer"))
    _clipping(values["SOLVER"], config.get("optimizer_config") or {})
    _length(values["SOLVER"], config)
    _schedule(values["SOLVER"], config)
    _checkpoints(values["SOLVER"], config.get("checkpoint_config"), config)
    _log(values, config.get("log_config") or {})
    if config.get("load_from"):
        values["MODEL"]["WEIGHTS"] = str(config["load_from"])
    if config.get("work_dir"):
        values["OUTPUT_DIR"] = str(config["work_dir"])
    if config.get("seed") is not None:
        values["SEED"] = int(config["seed"])
    if config.get("fp16") is not None:
        values["SOLVER"]["AMP"] = {"ENABLED": True}
    values["CUDNN_BENCHMARK"] = bool(config.get("cudnn_benchmark", False))
    values["DDP"]["FIND_UNUSED_PARAMETERS"] = bool(config.get("find_unused_parameters", False))
    _workflow(values, config.get("workflow") or [("train", 1)])
    return values


def counts_epochs(config: Mapping[str, Any]) -> bool:
    """Return True if the config's runner, and with it its intervals, counts epochs."""
    runner = config.get("runner") or {}
    kind = runner.get("type", "EpochBasedRunner")
    if kind not in ("EpochBasedRunner", "IterBasedRunner"):
        raise ConfigError(f"runner.type {kind!r} of the mm config is not supported")
    return bool(kind == "EpochBasedRunner")


def check_unit(key: str, value: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse a section that counts otherwise than the runner.

    Raises:
        ConfigError: it does.
    """
    if value.get("by_epoch", counts_epochs(config)) != counts_epochs(config):
        raise ConfigError(f"{key}.by_epoch of the mm config must count as its runner does: epochs or iterations")


def plain(value: Any) -> Any:
    """Return a copy in which every key is a string without dots, as a config wants it.

    Raises:
        ConfigError: a key is none.
    """
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value)
    return value


def _key(key: Any) -> str:
    text = str(key) if isinstance(key, str | int) else ""
    if not text or "." in text:
        raise ConfigError(f"the mm config has the key {key!r}, which a section cannot have")
    return text


def _section(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = config.get(key)
    if not isinstance(found, Mapping):
        raise ConfigError(f"the mm config has no {key!r}, which a training needs")
    return found


def _nothing_left(key: str, rest: Mapping[str, Any]) -> None:
    if rest:
        raise ConfigError(f"{key} of the mm config: {', '.join(map(str, rest))} is not supported")


def _optimizer(solver: Values, optimizer: Mapping[str, Any]) -> None:
    rest = dict(optimizer)
    if "type" not in rest or "lr" not in rest:
        raise ConfigError("optimizer of the mm config needs type and lr")
    solver["OPT"], solver["BASE_LR"] = rest.pop("type"), float(rest.pop("lr"))
    decay = float(rest.pop("weight_decay", 0.0))
    solver.update(WEIGHT_DECAY=decay, WEIGHT_DECAY_NORM=None, WEIGHT_DECAY_BIAS=None)
    solver["MOMENTUM"] = float(rest.pop("momentum", 0.0 if solver["OPT"] == "SGD" else 0.9))
    solver["NESTEROV"] = bool(rest.pop("nesterov", False))
    special = dict(rest.pop("paramwise_cfg", None) or {})
    solver["BIAS_LR_FACTOR"] = float(special.pop("bias_lr_mult", 1.0))
    for key, name in (("bias_decay_mult", "WEIGHT_DECAY_BIAS"), ("norm_decay_mult", "WEIGHT_DECAY_NORM")):
        factor = float(special.pop(key, 1.0))
        if factor != 1.0:
            solver[name] = decay * factor
    _nothing_left("optimizer.paramwise_cfg", special)
    if rest:
        solver["OPT_ARGS"] = plain(rest)


def _clipping(solver: Values, section: Mapping[str, Any]) -> None:
    rest = dict(section)
    kind, clip = rest.pop("type", "OptimizerHook"), rest.pop("grad_clip", None)
    if kind == "Fp16OptimizerHook":
        rest.pop("loss_scale", None)
        solver["AMP"] = {"ENABLED": True}
    elif kind != "OptimizerHook":
        raise ConfigError(f"optimizer_config of the mm config: the type {kind!r} is not supported")
    _nothing_left("optimizer_config", rest)
    if clip:
        solver["CLIP_GRADIENTS"] = {
            "ENABLED": True,
            "CLIP_TYPE": "norm",
            "CLIP_VALUE": float(clip["max_norm"]),
            "NORM_TYPE": float(clip.get("norm_type", 2)),
        }


def _length(solver: Values, config: Mapping[str, Any]) -> None:
    runner = config.get("runner") or {}
    length = runner.get("max_epochs", config.get("total_epochs")) if counts_epochs(config) else runner.get("max_iters")
    if not length:
        raise ConfigError("the mm config says no length: it needs runner.max_epochs, total_epochs or runner.max_iters")
    solver["MAX_EPOCH" if counts_epochs(config) else "MAX_ITER"] = int(length)


def _schedule(solver: Values, config: Mapping[str, Any]) -> None:
    rest = dict(_section(config, "lr_config"))
    policy = rest.pop("policy", None)
    if policy not in _POLICIES:
        raise ConfigError(f"lr_config.policy of the mm config is one of {', '.join(_POLICIES)}; came {policy!r}")
    solver["LR_SCHEDULER_NAME"] = _POLICIES[policy]
    in_epochs = counts_epochs(config)
    by_epoch = rest.pop("by_epoch", in_epochs)
    length = solver["MAX_EPOCH" if in_epochs else "MAX_ITER"]
    if policy == "step":
        if by_epoch != in_epochs:
            raise ConfigError("lr_config.by_epoch of the mm config must count as its runner does")
        steps = rest.pop("step")
        solver["STEPS"] = tuple(steps) if isinstance(steps, list | tuple) else tuple(range(steps, length, steps))
        solver["GAMMA"] = float(rest.pop("gamma", 0.1))
    elif policy != "fixed" and by_epoch:
        if not in_epochs:
            raise ConfigError("lr_config.by_epoch of the mm config must count as its runner does")
        solver["LR_STAIRS"] = length
    base, lowest, ratio = solver["BASE_LR"], rest.pop("min_lr", None), rest.pop("min_lr_ratio", None)
    solver["BASE_LR_END"] = float(lowest if lowest is not None else base * (ratio or 0.0))
    if policy == "poly":
        solver["POLY_LR_POWER"] = float(rest.pop("power", 1.0))
    _warm_up(solver, rest)
    _nothing_left("lr_config", rest)


def _warm_up(solver: Values, rest: Values) -> None:
    """Take the keys of the warm-up out of `rest`."""
    method, length = rest.pop("warmup", None), rest.pop("warmup_iters", 0)
    ratio, by_epoch = rest.pop("warmup_ratio", 0.1), rest.pop("warmup_by_epoch", False)
    solver["WARMUP_ITERS"] = 0
    if method is None:
        return
    if method not in _WARM_UPS:
        raise ConfigError(f"lr_config.warmup of the mm config is one of {', '.join(_WARM_UPS)}; came {method!r}")
    solver.update(WARMUP_METHOD=_WARM_UPS[method], WARMUP_FACTOR=float(ratio), WARMUP_MULTIPLIES=True)
    if by_epoch:
        solver["WARMUP_EPOCHS"] = float(length)
    else:
        solver["WARMUP_ITERS"] = int(length)


def _checkpoints(solver: Values, value: Mapping[str, Any] | None, config: Mapping[str, Any]) -> None:
    value = value or {"interval": 0}
    check_unit("checkpoint_config", value, config)
    solver["CHECKPOINT_PERIOD"] = max(0, int(value.get("interval", 1)))
    solver["CHECKPOINT_MAX_TO_KEEP"] = max(0, int(value.get("max_keep_ckpts", 0)))


def _log(values: Values, value: Mapping[str, Any]) -> None:
    values["LOG_PERIOD"] = int(value.get("interval", 10))
    names = [hook.get("type") for hook in value.get("hooks", [])]
    if unknown := [str(name) for name in names if name not in _WRITERS]:
        raise ConfigError(f"log_config.hooks of the mm config: {', '.join(unknown)} is not supported")
    if names:
        values["WRITERS"] = tuple(dict.fromkeys(writer for name in names for writer in _WRITERS[name]))


def _workflow(values: Values, workflow: Any) -> None:
    modes = [mode for mode, _ in workflow]
    if modes not in (["train"], ["train", "val"]):
        raise ConfigError(f"workflow of the mm config is train, or train and val; came {workflow!r}")
    if modes == ["train", "val"]:
        values["DATASETS"]["VAL"] = ("val",)
        values["TEST"]["LOSS_PERIOD"] = int(workflow[0][1])
