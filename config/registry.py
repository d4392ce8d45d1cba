"""Registries: mappings from names to classes and functions, so that a config can select one."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fvcore.common.registry import Registry as _Registry

from .errors import UnknownKeyError, nearest, unknown


class Registry(_Registry):
    """A mapping from names to classes or functions, filled by decorators.

    ``REGISTRY = Registry("BACKBONE")``, then ``@REGISTRY.register()`` above a class and ``REGISTRY.get("ItsName")``.
    It extends fvcore's, which has ``in``, iteration over (name, object) pairs and a printed table: here the error for
    an unknown name has the nearest one, an object can be registered under another name, and `build` calls one from a
    config.

    Args:
        name: the kind of the registered objects, for errors and the table.
    """

    def register(self, obj: Any = None, *, name: str | None = None) -> Any:
        """Register a class or function: by ``@R.register()``, ``@R.register(name="x")`` or ``R.register(f)``.

        Args:
            obj: the class or function; None returns a decorator.
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
        """Return the object that is registered as `name`.

        Raises:
            UnknownKeyError: (a KeyError) the name is unknown; the message lists the known ones.
        """
        if name in self:
            return self._obj_map[name]
        raise UnknownKeyError(
            f"the registry {self._name}: {unknown('name', str(name), sorted(self._obj_map))}. "
            "A class of your own is registered when its module is imported"
        )

    def build(self, config: Mapping[str, Any], /, **defaults: Any) -> Any:
        """Call the object that ``config["type"]`` names, with the rest of `config` as keyword arguments.

        Args:
            config: ``{"type": "Name", **arguments}``; the type may also be a class or function itself, registered or
                not. It is not changed, and dicts inside it are passed unchanged.
            defaults: arguments for which `config` may have other values.

        Raises:
            TypeError: `config` is not a mapping, has no "type", or has wrong arguments.
            UnknownKeyError: no object has that name.
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
        # Checked before the call, so that a TypeError from inside the constructor is not mistaken for wrong arguments.
        # Not the signature of the wrapped function: `configurable` also accepts a config.
        try:
            signature = inspect.signature(factory, follow_wrapped=False)
        except ValueError:  # some built-in classes have no signature
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
    """Return the nearest known argument to the first unknown one, as a part of a sentence, or ""."""
    unknown = [key for key in arguments if key not in signature.parameters]
    close = nearest(unknown[0], signature.parameters) if unknown else None
    return f" (did you mean {close!r}?)" if close else ""
