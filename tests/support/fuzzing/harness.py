"""Tries one hostile input, and says what came of it."""

import contextlib
import os
import shutil
import signal
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np

SECONDS = 20.0
CORRECT = "correct result"


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        name: as printed.
        errors: the exact types that the docstrings of what is tried promise.
        prepare: writes an input into the folder that it is given, and returns what reads it; that raises an
            AssertionError where what was read is wrong.
        weight: how many inputs are tried beside one of another kind.
    """

    name: str
    errors: tuple[type[Exception], ...]
    prepare: Callable[[Path, np.random.Generator], Callable[[], object]]
    weight: int = 1


class Failure(AssertionError):
    """An input that gave neither a correct result nor a documented error."""


class Hung(BaseException):
    """Raised by the alarm; no Exception, so that nothing takes it for an error of the input."""


@dataclass
class Box:
    """A folder that holds ``run`` (where an input lies and a run may write) and what must stay as it is.

    Inputs are tried from inside the box: a payload such as ``touch ran`` shows.
    """

    root: Path
    run: Path = field(init=False)

    def __post_init__(self) -> None:
        self.run = self.root / "run"
        (self.root / "outside").mkdir(parents=True)
        (self.root / "outside" / "file").write_text("someone's\n")
        (self.root / "file").write_text("someone's\n")

    def clear(self) -> Path:
        """Empty the run's folder."""
        shutil.rmtree(self.run, ignore_errors=True)
        self.run.mkdir()
        return self.run

    def outside(self) -> dict[str, tuple[int, int, int]]:
        """Return what lies outside of the run's folder: size, mode and time of each file."""
        found = {}
        for folder, folders, names in os.walk(self.root):
            if folder == str(self.root):
                folders.remove("run")
            for name in names + folders:
                facts = os.lstat(path := f"{folder}/{name}")
                found[path] = facts.st_size, facts.st_mode, facts.st_mtime_ns
        return found


def attempt(kind: Kind, box: Box, seed: int, index: int) -> str:
    """Try the input that (kind, seed, index) gives, and return CORRECT or the name of the error's type.

    Raises:
        Failure: there was anything else.
    """
    rng = np.random.default_rng([seed, index, zlib.crc32(kind.name.encode())])
    read = kind.prepare(box.clear(), rng)
    return observe(read, kind.errors, box, f"--kind '{kind.name}' --seed {seed} --first {index} --count 1")


def tally(kind: Kind, box: Box, count: int, seed: int = 0) -> Counter[str]:
    """Try the first `count` inputs of a kind, and return how often each outcome came."""
    return Counter(attempt(kind, box, seed, index) for index in range(count))


def observe(read: Callable[[], object], errors: tuple[type[Exception], ...], box: Box, what: str = "the input") -> str:
    """Call `read` in the box, and return CORRECT or the name of the error's type, as `attempt` does."""
    before = box.outside()
    outcome = CORRECT
    try:
        with contextlib.chdir(box.root), alarm(SECONDS):
            read()
    except errors as error:
        if type(error) not in errors or len(str(error)) < 10:
            raise Failure(f"{what}: unclear or undocumented: {type(error).__qualname__}: {error}") from error
        outcome = type(error).__name__
    except (Exception, Hung) as error:
        raise Failure(f"{what}: undocumented: {type(error).__qualname__}: {error}") from error
    after = box.outside()
    if after != before:
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        raise Failure(f"{what}: changed what is outside of the run's folder: {changed}")
    return outcome


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise Hung in the block when it takes longer; for the main thread."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hung(f"still busy after {seconds:.0f} s")

    earlier = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
