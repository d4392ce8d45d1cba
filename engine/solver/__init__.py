"""The optimizer and its learning rate, built from a config."""

from .lr_scheduler import LRMultiplier as LRMultiplier
from .lr_scheduler import WarmupParamScheduler as WarmupParamScheduler
from .optimizer import build_optimizer as build_optimizer
from .param_groups import get_default_optimizer_params as get_default_optimizer_params
from .schedules import build_lr_scheduler as build_lr_scheduler
