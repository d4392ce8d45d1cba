"""Decorator for classes and functions that can be called with a config or with their own arguments."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from yacs.config import CfgNode as _AnyCfgNode


def configurable(
    init_func: Callable[..., Any] | None = None, *, from_config: Callable[..., dict[str, Any]] | None = None
) -> Any:
    """Decorate an ``__init__`` or a function so that it can also be called with a config.

    A class has explicit arguments in ``__init__``; its classmethod ``from_config`` returns them from the settings::

        class Head(nn.Module):
            @configurable
            def __init__(self, dim, *, scale=1.0): ...

            @classmethod
            def from_config(cls, cfg, dim):
                return {"dim": dim, "scale": cfg.MODEL.HEADS.SCALE}

        Head(512, scale=2.0)       # the arguments themselves
        Head(cfg, 512)             # from_config(cfg, 512) returns them
        Head(cfg, 512, scale=2.0)  # a keyword that from_config does not accept goes to __init__ and overrides it

    A function gets `from_config` as an argument: ``@configurable(from_config=lambda cfg: {"lr": cfg.SOLVER.BASE_LR})``.

    The config is used if the first positional argument, or the keyword ``cfg``, is a CfgNode.

    Args:
        init_func: the ``__init__`` of a class that has, or whose subclasses have, a classmethod ``from_config``.
        from_config: for a function: its first parameter is the config, named ``cfg``; it returns the arguments.

    Raises:
        TypeError: the decorated object is anything else; in a call: ``from_config`` is not a classmethod, its first
            parameter is not ``cfg``, or it does not return a dict.
        AttributeError: in a call: the class has no ``from_config``.
    """
    if init_func is None:
        return configurable if from_config is None else functools.partial(_wrap_function, from_config=from_config)
    if not inspect.isfunction(init_func) or init_func.__name__ != "__init__" or from_config is not None:
        raise TypeError(
            "@configurable decorates the __init__ of a class; for a function write @configurable(from_config=...); "
            f"came {init_func!r}"
        )
    return _wrap_init(init_func)


def _wrap_init(init_func: Callable[..., Any]) -> Callable[..., None]:
    @functools.wraps(init_func)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        if not _has_config(args, kwargs):
            init_func(self, *args, **kwargs)
            return
        cls = type(self)
        try:
            from_config = cls.from_config
        except AttributeError as err:
            raise AttributeError(
                f"{cls.__name__} has a @configurable __init__ and needs a classmethod from_config"
            ) from err
        if not inspect.ismethod(from_config):
            raise TypeError(f"{cls.__name__}.from_config must be a classmethod: write @classmethod above it")
        init_func(self, **_arguments(from_config, args, kwargs))

    return wrapped


def _wrap_function(function: Callable[..., Any], *, from_config: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    if not inspect.isfunction(function):
        raise TypeError(f"@configurable(from_config=...) decorates a function; came {function!r}")

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if _has_config(args, kwargs):
            return function(**_arguments(from_config, args, kwargs))
        return function(*args, **kwargs)

    wrapped.from_config = from_config  # type: ignore[attr-defined]
    return wrapped


def _has_config(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return any(isinstance(value, _AnyCfgNode) for value in (*args[:1], kwargs.get("cfg")))


def _arguments(
    from_config: Callable[..., dict[str, Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments from `from_config`, and the keywords of the call that it does not accept."""
    parameters = inspect.signature(from_config).parameters
    name = getattr(from_config, "__qualname__", repr(from_config))
    if next(iter(parameters), None) != "cfg":
        raise TypeError(f"{name} must take the config first, as cfg; its parameters are {list(parameters)}")
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    past = {} if takes_all else {key: value for key, value in kwargs.items() if key not in parameters}
    arguments = from_config(*args, **{key: value for key, value in kwargs.items() if key not in past})
    if not isinstance(arguments, dict):
        raise TypeError(f"{name} must return a dict of arguments; it returned {type(arguments).__name__}")
    return {**arguments, **past}
