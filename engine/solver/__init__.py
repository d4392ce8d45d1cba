"""The optimizer and its learning rate, built from a config."""

from .lr_scheduler import LRMultiplier, WarmupParamScheduler
from .optimizer import build_optimizer
from .param_groups import get_default_optimizer_params
from .schedules import build_lr_scheduler

__all__ = [
    "LRMultiplier",
    "WarmupParamScheduler",
    "build_lr_scheduler",
    "build_optimizer",
    "get_default_optimizer_params",
]
