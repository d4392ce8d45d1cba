"""The config itself: fvcore's CfgNode, but with safe YAML only and with errors that name the file and the line."""

import copy
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fvcore.common.config import CfgNode as _CfgNode

from .bases import Layer, load_layers
from .errors import ConfigError, FrozenConfigError, UnknownKeyError, WrongTypeError, show
from .merge import is_key, layer_of, merge, read_overrides
from .safe_yaml import dump_yaml, parse_yaml
from .scalars import problem_with

_NULLABLE = "__nullable__"


class CfgNode(_CfgNode):
    """A tree of settings with attribute access, whose keys and types are fixed by its defaults.

    Assigning in code defines: any key, any plain value. Merging only fills in: a file, a list of overrides or another
    config may set keys that exist, to values of the default's type (an int is fine for a float, a list for a tuple),
    and None where the default is or was None. A node made with ``new_allowed=True`` takes new keys of any type.

    A merge that fails changes nothing. Keys that start with ``COMPUTED_`` can be added to a frozen config, once.

    Args:
        init_dict: the defaults, copied; nested dicts become nodes, and nodes keep whether they allow new keys.
        key_list: kept for yacs, which passes it.
        new_allowed: whether merging may add keys to this node (not to the nodes below).

    Raises:
        WrongTypeError: a value that is no plain data (bool, int, float, str, None, or lists of them).
    """

    def __init__(
        self, init_dict: Mapping[str, Any] | None = None, key_list: list[str] | None = None, new_allowed: bool = False
    ) -> None:
        super().__init__({}, key_list, new_allowed)
        # Keys that accept None -> the type of their other values (NoneType: any).
        self.__dict__[_NULLABLE] = {}
        for key, value in (init_dict or {}).items():
            self[key] = copy.deepcopy(value)
        self.defrost()  # init_dict may have frozen nodes

    def merge_from_file(self, cfg_filename: str | os.PathLike[str]) -> None:
        """Merge a YAML file, after the files that its ``_BASE_`` names.

        Raises:
            ConfigError: what `load_yaml` refuses, a circle of bases, or more than 16 of them in a row.
            UnknownKeyError, WrongTypeError: see `merge_from_other_cfg`; the text names the file and the line.
            FileNotFoundError, IsADirectoryError: there is no such file.
            FrozenConfigError: this config is frozen.
        """
        layers = load_layers(cfg_filename)
        self._merge(lambda target: layers)

    def merge_from_list(self, cfg_list: Sequence[Any]) -> None:
        """Merge overrides as the command line gives them: ``[KEY, VALUE, ...]``, or ``KEY=VALUE`` as one item.

        Text is read as a Python literal; for a key that expects a str it is taken as it stands. Raises what
        `merge_from_other_cfg` does, and ConfigError when the last key has no value.
        """
        self._merge(lambda target: read_overrides(target, cfg_list))

    def merge_from_other_cfg(self, cfg_other: Mapping[str, Any]) -> None:
        """Merge another config or a dict.

        Raises:
            UnknownKeyError: (a KeyError) a key that this config does not hold; the text names the nearest one.
            WrongTypeError: (a ValueError and a TypeError) a value of another type than the default's.
            FrozenConfigError: (an AttributeError) this config is frozen.
        """
        self._merge(lambda target: [Layer("the other config", dict(cfg_other))])

    def changed(self, **values: Any) -> "CfgNode":
        """Return a copy with other values, frozen if this config is: ``cfg.changed(**{"SOLVER.BASE_LR": 0.1})``.

        Args:
            values: by dotted key; checked as those of `merge_from_other_cfg` are.

        Raises:
            UnknownKeyError, WrongTypeError: see `merge_from_other_cfg`.
        """
        twin = self.clone()
        twin.defrost()
        for key, value in values.items():
            merge(twin, layer_of("changed()", key, value))
        if self.is_frozen():
            twin.freeze()
        return twin

    def _merge(self, layers_for: Callable[["CfgNode"], Iterable[Layer]]) -> None:
        if self.is_frozen():
            raise FrozenConfigError("cannot merge into a frozen config; call defrost() first, or merge into a clone()")
        for target in (self.clone(), self):  # on a copy first, so that an error does not leave a half-merged config
            for layer in layers_for(target):
                merge(target, layer)

    @classmethod
    def load_yaml_with_base(cls, filename: str | os.PathLike[str]) -> dict[str, Any]:
        """Return a YAML file merged over its bases, as a dict; the keys and types are not checked."""
        node = cls(new_allowed=True)
        node.merge_from_file(filename)
        return node.to_dict()

    @classmethod
    def load_cfg(cls, cfg_file_obj_or_str: Any) -> "CfgNode":
        """Return the config in YAML text or in an open text file, with every key and type that it has.

        Raises ConfigError for what `load_yaml` refuses; a Python file, which yacs would run, is one of those.
        """
        is_text = isinstance(cfg_file_obj_or_str, str)
        text = cfg_file_obj_or_str if is_text else cfg_file_obj_or_str.read()
        name = "the text" if is_text else str(getattr(cfg_file_obj_or_str, "name", "the file"))
        return cls(parse_yaml(text, name)[0])

    def dump(self, **kwargs: Any) -> str:
        """Return the config as YAML that `merge_from_file` reads back; keyword arguments are those of `yaml.dump`."""
        return dump_yaml(self.to_dict(), **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Return the config as nested dicts; its lists are copied."""
        return {
            key: value.to_dict() if isinstance(value, CfgNode) else copy.deepcopy(value) for key, value in self.items()
        }

    def allow_none(self, *keys: str) -> None:
        """Allow merging to set these keys of this node to None, although their default is not None."""
        for key in keys:
            if key not in self:
                raise UnknownKeyError(f"allow_none: this node has no key {key}; it has {', '.join(sorted(self))}")
            self.__dict__[_NULLABLE][key] = type(self[key])

    def takes_none(self, key: str) -> bool:
        """Return True if merging may set `key` to None."""
        return key in self.__dict__[_NULLABLE]

    def expected_type(self, key: str) -> type:
        """Return the type that merging expects for `key`; NoneType if any type is allowed."""
        return self.__dict__[_NULLABLE].get(key, type(self.get(key)))

    def is_obsolete(self, name: str) -> bool:
        """Return True if merging ignores the dotted key `name`, which `register_deprecated_key` registered."""
        return name in self.__dict__[self.DEPRECATED_KEYS]

    def __setattr__(self, name: str, val: Any) -> None:
        if name.startswith("COMPUTED_"):
            super().__setattr__(name, val)
        else:
            self[name] = val

    def __setitem__(self, key: str, value: Any) -> None:
        if not is_key(key):
            raise ConfigError(f"a key of a config is a str that is not empty and has no dots; came {show(key)}")
        if self.is_frozen() and not key.startswith("COMPUTED_"):
            raise FrozenConfigError(
                f"cannot set {key} to {show(value)}: the config is frozen; call defrost() first, or change a clone()"
            )
        if isinstance(value, dict) and not isinstance(value, CfgNode):
            value = type(self)(value)
        problem = None if isinstance(value, CfgNode) else problem_with(value)
        if problem:
            raise WrongTypeError(f"{key} is {problem}; a config holds bool, int, float, str, None, and lists of them")
        if value is None and key not in self.__dict__[_NULLABLE]:
            self.__dict__[_NULLABLE][key] = type(self.get(key))
        super().__setitem__(key, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, pickle sets the items with __setitem__, which needs the state that pickle may not have set yet.
        return _restore, (type(self), dict(self), dict(self.__dict__))


def _restore(cls: type[CfgNode], items: dict[str, Any], state: dict[str, Any]) -> CfgNode:
    node = cls.__new__(cls)
    dict.update(node, items)
    node.__dict__.update(state)
    return node
