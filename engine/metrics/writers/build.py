"""The writers that a config names."""

import re
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from steploop.config import CfgNode
from steploop.config.errors import unknown

from ..events import EventWriter
from .console import CommonMetricPrinter
from .csv_values import CSVWriter
from .json_lines import JSONWriter
from .tensorboard import TensorboardXWriter

# The entry points by which writers of other packages are found.
GROUP = "steploop.writers"
_PLACE = re.compile(r"[\w.]+:[\w.]+")

BUILT_IN: dict[str, Callable[[CfgNode], EventWriter]] = {
    "console": lambda cfg: CommonMetricPrinter(cfg.SOLVER.MAX_ITER),
    "json": lambda cfg: JSONWriter(Path(cfg.OUTPUT_DIR) / "metrics.json"),
    "csv": lambda cfg: CSVWriter(Path(cfg.OUTPUT_DIR) / "metrics.csv"),
    "tensorboard": lambda cfg: TensorboardXWriter(cfg.OUTPUT_DIR),
}


def build_writers(cfg: CfgNode) -> list[EventWriter]:
    """Return the writers that WRITERS names, in its order; OUTPUT_DIR is made if it is missing.

    A name is that of a built-in writer; of an entry point in the group "steploop.writers" of any installed package; or
    it says where a writer is, as "package.module:name". The last two stand for a callable that takes the config and
    returns an EventWriter, and are imported only here.

    Args:
        cfg: with WRITERS, OUTPUT_DIR and SOLVER.MAX_ITER, the length of the run in iterations.

    Raises:
        ValueError: a name that nothing is known by, that two packages use for different writers, or that comes twice.
        RuntimeError: what a name stands for cannot be imported.
        TypeError: it made something that is no EventWriter.
    """
    names = list(cfg.WRITERS)
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise ValueError(f"WRITERS names {', '.join(twice)} twice: two writers would write into one place")
    plugins = [_find(name) for name in names]  # all of them, before one is imported
    Path(cfg.OUTPUT_DIR).mkdir(parents=True, exist_ok=True)
    return [_make(name, plugin, cfg) for name, plugin in zip(names, plugins)]


def _find(name: Any) -> EntryPoint | None:
    """Return where a writer is; None for a built-in one."""
    if isinstance(name, str):
        if name in BUILT_IN:
            return None
        if _PLACE.fullmatch(name):
            return EntryPoint(name, name, GROUP)
    plugins = entry_points(group=GROUP)
    found = {plugin.value: plugin for plugin in plugins if plugin.name == name}
    if len(found) > 1:
        raise ValueError(
            f"WRITERS: several packages have a writer {name!r}; name the one that is meant: {', '.join(found)}"
        )
    if not found:
        raise ValueError(_unknown(name, plugins.names))
    return next(iter(found.values()))


def _make(name: str, plugin: EntryPoint | None, cfg: CfgNode) -> EventWriter:
    if plugin is None:
        return BUILT_IN[name](cfg)
    try:
        writer = _load(plugin)(cfg)
    except ImportError as error:  # of the module, or of what it imports when it is called
        raise RuntimeError(f"WRITERS: {name!r} cannot be imported: {error}{_remedy(plugin)}") from error
    if not isinstance(writer, EventWriter):
        raise TypeError(f"WRITERS: {name!r} must make an EventWriter of a config; it made a {type(writer).__name__}")
    return writer


def _load(plugin: EntryPoint) -> Callable[[CfgNode], EventWriter]:
    try:
        return plugin.load()
    except AttributeError as error:
        raise ImportError(str(error)) from error


def _unknown(name: Any, plugins: Iterable[str]) -> str:
    known = unknown("writer", str(name), [*BUILT_IN, *sorted(plugins)])
    return f'WRITERS: {known}, and any "package.module:name"'


def _remedy(plugin: EntryPoint) -> str:
    if plugin.dist is None:
        return ". Its module must be installed, or found on PYTHONPATH"
    extras = ", ".join(plugin.dist.metadata.get_all("Provides-Extra") or ()) or "none"
    return f". It is a part of the package {plugin.dist.name} (extras: {extras}): install what the writer needs"
