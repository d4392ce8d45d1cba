"""What a run is made of, and when it ran: manifest.json beside its checkpoints, and a copy in each of them."""

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
from .files import read_json_object, write_text_atomically
from .machine import git, host_name

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
# Of a larger training set, so many items at equal distances are looked at: a second's work at most.
MAX_ITEMS = 200_000
LONGEST_REASON = 500
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class _Run(Protocol):
    """What a session records of a trainer."""

    start_iter: int
    completed_iter: int
    stop_reason: str | None


@runtime_checkable
class _Fingerprinted(Protocol):
    """A data set that knows a hash of its items, as those of `steploop.data` do."""

    def fingerprint(self) -> str | None:
        """Return the hash; None where only a look at each item could tell."""


class Manifest:
    """Describes a run; a checkpointable, so that each checkpoint tells what wrote it.

    The copy in a checkpoint holds no time, no host and no process, and is nothing that a resumed run goes on from: it
    is compared with what runs now, and what differs is logged.

    Args:
        cfg: the config of the run, with its seed.
        data_loader: of the training set; see `fingerprint`.
    """

    def __init__(self, cfg: CfgNode, data_loader: Any = None) -> None:
        self._folder = cfg.OUTPUT_DIR
        self.facts: dict[str, Any] = {}
        if comm.is_main_process():  # which alone writes
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
        """Return what the run is made of, as plain data."""
        return self.facts

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Say in the log in what the run that wrote a checkpoint differs; the config's changes are told elsewhere."""
        for name, level in (("data", logging.WARNING), ("versions", logging.INFO), ("world_size", logging.INFO)):
            if name in state_dict and state_dict[name] != self.facts.get(name, state_dict[name]):
                logger.log(level, "Other %s than before: %s; now %s", name, state_dict[name], self.facts[name])

    @contextmanager
    def session(self, trainer: _Run) -> Iterator[None]:
        """Keep a session of the run in manifest.json: begun now, ended with the context.

        A session without an "ended" goes on, or was killed. Another process than the main one, and a run without
        OUTPUT_DIR, keeps none. A file that cannot be written is an error in the log, and the run goes on.
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
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomically(path, json.dumps(manifest, indent=2) + "\n")
        except OSError as error:
            logger.error("The manifest could not be written, the run goes on without it: %s", error)


def reserve(folder: Path, *, present: list[str], now: datetime.datetime | None = None) -> None:
    """Write the manifest of a run that begins: `Manifest` adds what the run is made of, and its sessions.

    Args:
        folder: of the run.
        present: names of what is in the folder and is not the run's.
        now: the start time; the current time if None.
    """
    started = (now or datetime.datetime.now()).isoformat(timespec="seconds")
    manifest = {"started": started, "ended": None, "present": present, "outputs": [], "sessions": []}
    write_text_atomically(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def versions() -> dict[str, str]:
    """Return the versions of what decides the bits of a run."""
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
    """Return {"commit", "dirty"} of the checkout that holds `folder`; None for what git does not tell in time.

    Dirty is one with changes of tracked files. Asked once in a process, which has loaded its code by then.
    """
    commit = git(folder, "rev-parse", "HEAD")
    changes = None if commit is None else git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def config_hash(cfg: CfgNode) -> str:
    """Return a hash of all that a config says, but for OUTPUT_DIR: where a run writes changes nothing of it."""
    content = {key: value for key, value in cfg.to_dict().items() if key != "OUTPUT_DIR"}
    return _hash(json.dumps(content, sort_keys=True).encode())


def fingerprint(items: Sequence[Any] | None) -> dict[str, Any] | None:
    """Return {"items": their number, "hash": of what they say} of a training set; None where it shows no items.

    Covered are the items as the data set lists them, in their order: file names, labels, cameras. Not covered is what
    the files hold. A data set that has a `fingerprint()` of all its items is asked for it. Of another one with more
    than `MAX_ITEMS` items, so many are looked at, at equal distances, and of tensors and arrays only type and shape.

    Args:
        items: such as `loader.dataset.items` of a TrainLoader.
    """
    if not isinstance(items, Sequence):
        return None
    known = items.fingerprint() if isinstance(items, _Fingerprinted) else None
    if known is not None:
        return {"items": len(items), "hash": known}
    stride = max(1, -(-len(items) // MAX_ITEMS))
    digest = hashlib.sha256()
    for index in range(0, len(items), stride):
        digest.update(f"{_words(items[index])}\n".encode(errors="backslashreplace"))
    return {"items": len(items), "hash": digest.hexdigest()[:16]}


def _words(value: Any) -> str:
    """Return text that is the same in every process."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"{value.dtype}{tuple(value.shape)}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_words(key)}:{_words(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "(" + ",".join(map(_words, value)) + ")"
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
