"""The settings of a run: the schema, safe YAML, overrides and registries."""

from .configurable import configurable
from .defaults import get_cfg
from .device import resolve_device
from .diff import ABSENT, diff_configs, format_diff
from .errors import ConfigError, FrozenConfigError, UnknownKeyError, WrongTypeError
from .mm_options import merge_options
from .node import CfgNode
from .python_config import load_python_config
from .registry import Registry
from .safe_yaml import load_yaml

__all__ = [
    "ABSENT",
    "CfgNode",
    "ConfigError",
    "FrozenConfigError",
    "Registry",
    "UnknownKeyError",
    "WrongTypeError",
    "configurable",
    "diff_configs",
    "format_diff",
    "get_cfg",
    "load_python_config",
    "load_yaml",
    "merge_options",
    "resolve_device",
]
