"""Records the code, config and data of a run, and its sessions, in manifest.json and in each checkpoint."""

import datetime
import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from steploop.config import CfgNode

from ..distributed import comm
from .best_effort import BestEffort
from .files import read_json_object, write_json_atomically
from .machine import git, host_name

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
# Of a data set with more values (numbers and strings), only evenly spaced items are hashed: this limits the work to
# about a second.
MAX_VALUES = 200_000
LONGEST_REASON = 500
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class _Run(Protocol):
    """The attributes of a trainer that a session records."""

    start_iter: int
    completed_iter: int
    stop_reason: str | None


@runtime_checkable
class _Fingerprinted(Protocol):
    """A data set that can hash its items itself, like those of `steploop.data`."""

    def fingerprint(self) -> str | None:
        """Return the hash; None if every item would have to be read for it."""


class Manifest:
    """Describes a run. It is a checkpointable, so that each checkpoint contains a description of the run that wrote it.

    The copy in a checkpoint has no time, host or process, and a resumed run does not use its values: it compares them
    with its own and logs the differences.

    Args:
        cfg: the config of the run, with its seed.
        data_loader: the loader of the training set; see `fingerprint`.
    """

    def __init__(self, cfg: CfgNode, data_loader: Any = None) -> None:
        self._folder = cfg.OUTPUT_DIR
        self.facts: dict[str, Any] = {}
        if comm.is_main_process():  # the only process that writes
            self.facts = {
                "versions": versions(),
                "git": git_state(Path.cwd()),
                "command": list(sys.argv),
                "config": cfg.to_dict(),
                "config_hash": config_hash(cfg),
                "seed": cfg.SEED,
                "world_size": comm.get_world_size(),
                "data": fingerprint(getattr(getattr(data_loader, "dataset", None), "items", None)),
            }

    def state_dict(self) -> dict[str, Any]:
        """Return the description of the run as plain data."""
        return self.facts

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Log the differences from the run that wrote a checkpoint; `default_setup` logs those of the config."""
        for name, level in (("data", logging.WARNING), ("versions", logging.INFO), ("world_size", logging.INFO)):
            if name in state_dict and state_dict[name] != self.facts.get(name, state_dict[name]):
                logger.log(level, "Other %s than before: %s; now %s", name, state_dict[name], self.facts[name])

    @contextmanager
    def session(self, trainer: _Run) -> Iterator[None]:
        """Record a session of the run in manifest.json: it starts now and ends with the context.

        A session without "ended" is still running, or was killed. Only the main process records sessions, and only with
        an OUTPUT_DIR. If the file cannot be written, log an error and continue the run.
        """
        if not comm.is_main_process() or not self._folder:
            yield
            return
        record = {"started": _now(), "command": self.facts["command"], "git": self.facts["git"], **_process()}
        self._write(record, is_new=True)
        try:
            yield
        except BaseException as error:
            record["reason"] = f"{type(error).__name__}: {error}".rstrip(": ")[:LONGEST_REASON]
            raise
        else:
            record["reason"] = trainer.stop_reason or "finished"
        finally:
            record |= {"ended": _now(), "first_iter": trainer.start_iter, "last_iter": trainer.completed_iter}
            self._write(record, is_new=False)

    def _write(self, record: dict[str, Any], *, is_new: bool) -> None:
        path = Path(self._folder) / MANIFEST
        try:
            earlier = read_json_object(path)
        except (OSError, ValueError):  # a run without one, or whose file was damaged
            earlier = {}
        sessions = earlier.get("sessions")
        sessions = sessions if isinstance(sessions, list) else []
        sessions = [*(sessions if is_new else sessions[:-1]), record]
        manifest: dict[str, Any] = {
            "started": earlier.get("started", record["started"]),
            "ended": record.get("ended"),
            **{name: earlier[name] for name in ("present", "outputs") if name in earlier},
            **self.facts,
            "sessions": sessions,
        }

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json_atomically(path, manifest)

        BestEffort(OSError).attempt(MANIFEST, write)


def reserve(folder: Path, *, present: list[str], now: datetime.datetime | None = None) -> None:
    """Write the manifest of a new run; `Manifest` adds the description of the run and its sessions later.

    Args:
        folder: the folder of the run.
        present: names of the files in the folder that are not the run's.
        now: the start time; the current time if None.
    """
    started = (now or datetime.datetime.now()).isoformat(timespec="seconds")
    manifest = {"started": started, "ended": None, "present": present, "outputs": [], "sessions": []}
    write_json_atomically(folder / MANIFEST, manifest)


def versions() -> dict[str, str]:
    """Return the versions of the software that affects the results of a run."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda or "none",
        "numpy": np.__version__,
        "steploop": _version_of("steploop"),
    }


@functools.cache
def git_state(folder: Path) -> dict[str, Any]:
    """Return {"commit", "dirty"} of the checkout that contains `folder`; None for a value that git does not return.

    Dirty means that tracked files have changes. The result is cached: a process has loaded its code by the first call,
    so later changes do not affect it.
    """
    commit = git(folder, "rev-parse", "HEAD")
    changes = None if commit is None else git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def config_hash(cfg: CfgNode) -> str:
    """Return a hash of all settings of a config except OUTPUT_DIR, which does not affect the results."""
    content = {key: value for key, value in cfg.to_dict().items() if key != "OUTPUT_DIR"}
    return _hash(json.dumps(content, sort_keys=True).encode())


def fingerprint(items: Sequence[Any] | None) -> dict[str, Any] | None:
    """Return {"items": their number, "hash": their hash} of a training set; None if `items` is not a sequence.

    The hash covers the items as the data set lists them, in their order: file names, labels, cameras. It does not cover
    the content of the files. If the data set has a `fingerprint()` of all its items, that is the hash. Otherwise, if
    the items have more than about `MAX_VALUES` numbers and strings, only evenly spaced items are hashed; of tensors and
    arrays, only dtype and shape.

    Args:
        items: such as `loader.dataset.items` of a TrainLoader.
    """
    if not isinstance(items, Sequence):
        return None
    known = items.fingerprint() if isinstance(items, _Fingerprinted) else None
    if known is not None:
        return {"items": len(items), "hash": known}
    stride = max(1, -(-len(items) * _count_values(items[0]) // MAX_VALUES)) if len(items) else 1
    digest = hashlib.sha256()
    for index in range(0, len(items), stride):
        digest.update(f"{_stable_text(items[index])}\n".encode(errors="backslashreplace"))
    return {"items": len(items), "hash": digest.hexdigest()[:16]}


def _count_values(value: Any) -> int:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return max(1, sum(map(_count_values, parts)))


def _stable_text(value: Any) -> str:
    """Return a text of the value that is the same in every process: without memory addresses."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"{value.dtype}{tuple(value.shape)}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_stable_text(key)}:{_stable_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "(" + ",".join(map(_stable_text, value)) + ")"
    return _ADDRESS.sub("", repr(value))


def _version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # found on PYTHONPATH
        return "not installed"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _process() -> dict[str, Any]:
    return {"host": host_name(), "pid": os.getpid()}


def _now() -> str:
    return datetime.datetime.now().isoformat(timespec="seconds")
