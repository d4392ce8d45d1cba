"""Names to classes and functions, so that a config can choose one."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fvcore.common.registry import Registry as _Registry

from .errors import UnknownKeyError, nearest, unknown


class Registry(_Registry):
    """A mapping from names to classes or functions, filled by decorators.

    ``REGISTRY = Registry("BACKBONE")``, then ``@REGISTRY.register()`` above a class and ``REGISTRY.get("ItsName")``.
    fvcore's, which gives ``in``, iteration over (name, object) pairs and the printed table; here a wrong name is
    answered with the nearest one, an object can be registered under another name, and `build` makes one from a config.

    Args:
        name: what the registry holds, for errors and the table.
    """

    def register(self, obj: Any = None, *, name: str | None = None) -> Any:
        """Register a class or function: by ``@R.register()``, ``@R.register(name="x")`` or ``R.register(f)``.

        Args:
            obj: what to register; None returns a decorator.
            name: its name; its ``__name__`` by default.

        Returns:
            The object itself.

        Raises:
            ValueError: another object has that name.
        """
        if obj is None:
            return lambda decorated: self.register(decorated, name=name)
        self._do_register(obj.__name__ if name is None else name, obj)
        return obj

    def get(self, name: str) -> Any:
        """Return what is registered as `name`; raises UnknownKeyError (a KeyError) that lists what there is."""
        if name in self:
            return self._obj_map[name]
        raise UnknownKeyError(
            f"the registry {self._name}: {unknown('name', str(name), sorted(self._obj_map))}. "
            "A class of your own is registered when its module is imported"
        )

    def build(self, config: Mapping[str, Any], /, **defaults: Any) -> Any:
        """Call what ``config["type"]`` stands for with the rest of `config` as keyword arguments.

        Args:
            config: ``{"type": "Name", **arguments}``; the type may also be a class or function itself, registered or
                not. It is not changed, and dicts inside it are passed on as they are.
            defaults: arguments that `config` need not name; it wins where both do.

        Raises:
            TypeError: `config` is no mapping, has no "type", or its arguments do not fit.
            UnknownKeyError: nothing has that name.
        """
        kind = config.get("type") if isinstance(config, Mapping) else None
        if not isinstance(kind, str) and not callable(kind):
            raise TypeError(
                f'{self._name}: expected a mapping with a "type", such as {{"type": "Name"}}; came {config!r}'
            )
        arguments = {**defaults, **config}
        del arguments["type"]
        factory = self.get(kind) if isinstance(kind, str) else kind
        name = kind if isinstance(kind, str) else getattr(kind, "__name__", repr(kind))
        self._check_arguments(name, factory, arguments)
        return factory(**arguments)

    def __len__(self) -> int:
        return len(self._obj_map)

    def _do_register(self, name: str, obj: Any) -> None:
        if self._obj_map.get(name, obj) is not obj:
            raise ValueError(
                f"the registry {self._name} already holds {name!r}: {self._obj_map[name]!r}; "
                f"register {obj!r} under another name (register(name=...))"
            )
        self._obj_map[name] = obj

    def _check_arguments(self, name: str, factory: Callable[..., Any], arguments: dict[str, Any]) -> None:
        # Bound before the call, so that a TypeError from inside the constructor is not mistaken for one of its call.
        # A wrapped function is taken as it is called, not as what it wraps: `configurable` also takes a config.
        try:
            signature = inspect.signature(factory, follow_wrapped=False)
        except ValueError:  # some built-in classes have none
            return
        try:
            signature.bind(**arguments)
        except TypeError as err:
            came = ", ".join(f"{key}={value!r:.40}" for key, value in arguments.items()) or "none"
            hint = _nearest_argument(signature, arguments)
            raise TypeError(
                f"the registry {self._name} cannot build {name}{signature}: {err}{hint}; the arguments came as {came}"
            ) from None


def _nearest_argument(signature: inspect.Signature, arguments: Iterable[str]) -> str:
    """Return what the first unexpected argument was probably meant to be, as a part of a sentence, or ""."""
    unknown = [key for key in arguments if key not in signature.parameters]
    close = nearest(unknown[0], signature.parameters) if unknown else None
    return f" (did you mean {close!r}?)" if close else ""
