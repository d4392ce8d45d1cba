"""Processes that live and die together."""

import atexit
import logging
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from types import FrameType, TracebackType
from typing import Any, NoReturn

logger = logging.getLogger(__name__)

# Seconds that the others get to end by themselves when a rank has failed, and again when they were told to.
GRACE = 5.0
# The same when a rank has left with an exit code, as after a checkpoint: another may still be writing it.
EXIT_GRACE = 300.0
# A child of a rank may hold its pipes open after its death, so that the operating system is also asked, this often.
_POLL = 1.0
# Schedulers send a signal twice in a moment (to a process and to its group): two within this time count as one.
SAME_SIGNAL_SECONDS = 0.5
_LONGEST_TEXT = 20_000  # fits into a pipe, so that a dying rank never waits for a reader


class RankError(RuntimeError):
    """One of several processes failed.

    Attributes:
        rank: the one that failed first.
    """

    def __init__(self, message: str, rank: int) -> None:
        super().__init__(message)
        self.rank = rank


@dataclass(frozen=True)
class _End:
    """How a rank ended other than well: a traceback, or what it gave to sys.exit."""

    time: float
    trace: str | None = None
    code: int | str = 1

    @property
    def is_orderly(self) -> bool:
        return self.trace is None and isinstance(self.code, int)


class _Reporter:
    """Tells the parent about the first error that passes through, and lets it pass."""

    def __init__(self, pipe: connection.Connection) -> None:
        self._pipe = pipe
        self._told = False

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or self._told:
            return
        self._told = True
        if not isinstance(error, SystemExit):
            text = "".join(traceback.format_exception(error))[-_LONGEST_TEXT:]
            self._pipe.send(_End(time.monotonic(), trace=text))
        elif error.code:
            code = error.code if isinstance(error.code, int) else str(error.code)[-_LONGEST_TEXT:]
            self._pipe.send(_End(time.monotonic(), code=code))


@dataclass
class _Rank:
    number: int
    process: SpawnProcess
    pipe: connection.Connection
    end: _End | None = None
    is_running: bool = True

    def look(self) -> None:
        """Notice a report, or the end of the process."""
        self.is_running = self.process.is_alive()
        try:
            if self.end is None and self.pipe.poll():
                self.end = self.pipe.recv()
        except EOFError:  # ended without a word
            self.process.join()
            self.is_running = False
        if not self.is_running and self.end is None and self.process.exitcode:
            # A silent death is never the consequence of another's error, so it counts as the earliest.
            self.end = _End(-math.inf, trace=_describe(self.process.exitcode))


def run_processes(
    main_func: Callable[..., Any],
    args: Sequence[Any],
    num_processes: int,
    *,
    inside: Callable[[int], AbstractContextManager[Any]],
    first_rank: int = 0,
) -> None:
    """Run `main_func(*args)` in new processes, until all have ended well or one has not.

    When one fails the others are stopped (a grace period, SIGTERM, SIGKILL); when this process dies so do they. They
    ignore SIGINT, which a terminal sends to everyone: this process forwards SIGINT, SIGTERM and SIGUSR1 once, as
    SIGTERM, which raises KeyboardInterrupt in them unless they handle it, and waits; at a second one they are killed.

    Args:
        main_func: can be pickled; so can its `args`.
        args: its arguments.
        num_processes: how many.
        inside: index in [0, num_processes) -> a context in which main_func runs; can be pickled.
        first_rank: added to the index in messages.

    Raises:
        RankError: a process raised or died; it names the first, with its traceback.
        SystemExit: a process called sys.exit with this code.
        KeyboardInterrupt: this process was interrupted, and the others have ended.
    """
    context = multiprocessing.get_context("spawn")
    ranks: list[_Rank] = []
    try:
        for index in range(num_processes):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_run_rank, args=(index, inside, main_func, tuple(args), sender))
            process.start()
            sender.close()  # else the pipe would never end
            ranks.append(_Rank(first_rank + index, process, receiver))
        with _forwarding(ranks) as received:
            _wait(ranks, GRACE, EXIT_GRACE)
            if received:
                _wait(ranks, math.inf, math.inf)
                code = _exit_code(ranks)
                if code is not None:
                    raise SystemExit(code)
                if any(rank.end is not None for rank in ranks):  # stopped before they could handle it
                    raise KeyboardInterrupt
        if any(rank.is_running for rank in ranks):
            _terminate(ranks)
            _join(ranks, GRACE)
    finally:
        for rank in ranks:
            if rank.process.is_alive():
                rank.process.kill()
            rank.process.join()
            rank.pipe.close()
    _raise_first(ranks)


@contextmanager
def _forwarding(ranks: list[_Rank]) -> Iterator[list[float]]:
    """Hand the first signal on to the ranks and note its time in the list; let a second raise KeyboardInterrupt."""
    received: list[float] = []

    def forward(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if received:
            if now - received[0] > SAME_SIGNAL_SECONDS:
                raise KeyboardInterrupt
            return
        received.append(now)
        # No logging here: the signal may have interrupted a handler of it, which holds its lock.
        os.write(
            2, f"\n{signal.Signals(number).name}: waiting for {len(ranks)} processes; once more kills them\n".encode()
        )
        _terminate(ranks)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_rank(
    index: int,
    inside: Callable[[int], AbstractContextManager[Any]],
    main_func: Callable[..., Any],
    args: tuple[Any, ...],
    pipe: connection.Connection,
) -> None:
    """What a new process does."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = _Reporter(pipe)
    try:
        # Twice: an error of main_func is told before its context ends, which makes the other ranks fail too.
        with report, inside(index), report:
            main_func(*args)
        code = 0
    except SystemExit as error:
        code = error.code or 0 if isinstance(error.code, int | None) else 1
    except BaseException:
        code = 1  # the parent shows what was told
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End this process after its threads and exit handlers, but without taking the interpreter down.

    That would race with threads of torch.distributed that still run: on a busy machine, a rank that had done all its
    work was then aborted by the C++ runtime ("terminate called without an active exception").
    """
    # As the interpreter does it: joining them one by one would wait for ever for the threads of a pool (torch.compile
    # has one), which are told to end in there.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)  # nobody is left to tell, and the main thread may wait in a collective for ever

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def _wait(ranks: list[_Rank], grace: float, exit_grace: float) -> None:
    """Wait until all have ended, or until a time after the first that did not end well."""
    first_end = math.inf
    while True:
        for rank in ranks:
            rank.look()
        running = [rank for rank in ranks if rank.is_running]
        ends = [rank.end for rank in ranks if rank.end is not None]
        now = time.monotonic()
        if ends:
            first_end = min(first_end, now)
        left = first_end + (exit_grace if all(end.is_orderly for end in ends) else grace) - now
        if not running or left <= 0:
            return
        silent = [rank.pipe for rank in running if rank.end is None]
        connection.wait([*silent, *(rank.process.sentinel for rank in running)], min(left, _POLL))


def _terminate(ranks: list[_Rank]) -> None:
    for rank in ranks:
        if rank.process.is_alive():
            rank.process.terminate()


def _join(ranks: list[_Rank], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for rank in ranks:
        rank.process.join(max(0.0, deadline - time.monotonic()))


def _describe(exitcode: int) -> str:
    if exitcode > 0:
        return f"The process ended with exit code {exitcode} and without an exception."
    name = signal.Signals(-exitcode).name
    hint = " (the system may have run out of memory)" if name == "SIGKILL" else ""
    return f"The process was killed by {name}{hint}."


def _exit_code(ranks: list[_Rank]) -> int | str | None:
    """Return what the first rank that called sys.exit gave to it."""
    ends = [rank.end for rank in ranks if rank.end is not None and rank.end.trace is None]
    return min(ends, key=lambda end: end.time).code if ends else None


def _raise_first(ranks: list[_Rank]) -> None:
    failed = sorted(
        ((rank.end, rank.number) for rank in ranks if rank.end is not None), key=lambda pair: (pair[0].time, pair[1])
    )
    if not failed:
        return
    (first, number), *later = failed
    if first.trace is None:
        raise SystemExit(first.code)
    lines = [f"rank {number} failed:", "", first.trace.rstrip()]
    lines += [f"After that, rank {n} ended too: {end.trace.rstrip().splitlines()[-1]}" for end, n in later if end.trace]
    raise RankError("\n".join(lines), number)
