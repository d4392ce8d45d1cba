"""A lock that allows one run per folder: a second run ends with an error that names the first."""

import contextlib
import errno
import fcntl
import functools
import json
import os
import struct
import threading
import time
import weakref
from datetime import datetime
from pathlib import Path
from typing import IO

from .machine import host_name

_NAME = ".lock"
_HEARTBEAT_SECONDS = 10
_STALE_SECONDS = 60
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
# If the system has no locks of open files, a lock belongs to the process, and locking again in the same process
# succeeds: this set detects that.
_held: set[Path] = set()


class FolderLock:
    """Locks a folder for this process until `release`, the end of the `with`, or the end of the process.

    It locks the open file `folder/.lock`. On Linux this is an "open file description" lock: other code that opens and
    closes the file does not release it. The kernel releases it when the process ends, also by a signal; forked workers
    release their copy at once. If the file system has no locks, a thread touches the file every 10 seconds, and a file
    that was not touched for 60 seconds is free.

    Args:
        folder: created if missing.

    Raises:
        RuntimeError: another process has the lock; the message has its host, its pid and the start time.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder).resolve() / _NAME
        if self.path in _held:
            raise RuntimeError(f"this process (pid {os.getpid()}) already runs in {self.path.parent}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+")
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None
        try:
            self._acquire()
        except BaseException:
            self._file.close()
            raise
        _held.add(self.path)
        # A forked worker inherits the open file and would keep the folder locked until it ends.
        os.register_at_fork(after_in_child=functools.partial(_forget, weakref.ref(self)))

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Release the lock. A second call does nothing."""
        if self._file.closed:
            return
        self._stop.set()
        if self._heart is not None:
            self._heart.join()
        with contextlib.suppress(OSError):
            self._file.truncate(0)
        self._file.close()
        _held.discard(self.path)

    def _acquire(self) -> None:
        try:
            _lock(self._file.fileno())
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise _busy(self.path, self._file, "") from None
            if error.errno not in _NO_LOCKS:
                raise
            self._acquire_by_heartbeat()
        self._sign()

    def _acquire_by_heartbeat(self) -> None:
        age = _age(self.path)
        holder = _holder(self._file)
        if holder and age < _STALE_SECONDS and not _is_dead(holder):
            wait = f" If that run is dead, the folder is free in {_STALE_SECONDS - age:.0f} s."
            raise _busy(self.path, self._file, wait)
        self._heart = threading.Thread(target=self._beat, name=f"heartbeat of {self.path}", daemon=True)
        self._heart.start()

    def _beat(self) -> None:
        while not self._stop.wait(_HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def _sign(self) -> None:
        self._file.truncate(0)
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        json.dump({"host": host_name(), "pid": os.getpid(), "since": since}, self._file)
        self._file.flush()


def _forget(lock: "weakref.ref[FolderLock]") -> None:
    """Close the file in a forked process; the process that took the lock keeps it."""
    held = lock()
    if held is not None:
        with contextlib.suppress(OSError):
            held._file.close()


def current_holder(folder: str | os.PathLike[str]) -> str | None:
    """Return the host and the process that have locked a folder, as text; None if it is free. Changes nothing."""
    path = Path(folder).resolve() / _NAME
    if path in _held:
        return f"this process (pid {os.getpid()})"
    try:
        with path.open("r+") as file:
            try:
                _lock(file.fileno())
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    return _described(_holder(file))
                raise
    except OSError:  # the file is missing or may not be opened, or the file system has no locks: unknown, so not locked
        return None
    return None


def _lock(descriptor: int) -> None:
    """Lock an open file without waiting; raise OSError (EACCES, EAGAIN) if another open file has the lock."""
    if hasattr(fcntl, "F_OFD_SETLK"):
        # struct flock with native alignment: type, whence, start, length (0: to the end), pid (0 is required).
        region = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, region)
    else:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _described(holder: dict[str, object]) -> str:
    return "host {host}, pid {pid}, since {since}".format(**holder) if holder else "it has not signed yet"


def _busy(path: Path, file: IO[str], hint: str) -> RuntimeError:
    return RuntimeError(
        f"another run is going on in {path.parent} ({_described(_holder(file))}). "
        f"Wait for it, stop it, or choose another OUTPUT_DIR.{hint}"
    )


def _holder(file: IO[str]) -> dict[str, object]:
    file.seek(0)
    with contextlib.suppress(ValueError, RecursionError):
        holder = json.loads(file.read(1000))
        if isinstance(holder, dict) and {"host", "pid", "since"} <= holder.keys():
            return holder
    return {}


def _is_dead(holder: dict[str, object]) -> bool:
    """Return True if the holder was a process of this host that has ended; False for another host: it is not known."""
    if holder["host"] != host_name() or not isinstance(holder["pid"], int):
        return False
    if not 0 < holder["pid"] < 2**31:  # no process has such a number
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _age(path: Path) -> float:
    """Return the seconds since the file was touched.

    "Now" is the time stamp of a new file in the same folder, because the clock of a file server may differ from ours.
    """
    probe = path.with_name(f".lock.{os.getpid()}.steploop-tmp")
    try:
        probe.touch()
        now = probe.stat().st_mtime
    except OSError:
        now = time.time()
    finally:
        probe.unlink(missing_ok=True)
    return now - path.stat().st_mtime
