"""Logging to the console (rank 0) and to one file per rank."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from termcolor import colored

_MOST_HELD = 10_000  # lines; a run logs far fewer before its first step
_MARKS = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}
_console_writer: Callable[[str], object] | None = None


def setup_logger(
    output: str | Path | None = None,
    distributed_rank: int = 0,
    *,
    color: bool = True,
    name: str = "steploop",
    abbrev_name: str | None = None,
    hold: bool = False,
) -> logging.Logger:
    """Send the lines of a logger to the console (rank 0 only) and to a file (every rank).

    A second call changes the settings and never writes a line twice; another `output` replaces the first.

    Args:
        output: a folder, for log.txt in it, or a file ending in .txt or .log; None does not change the file.
            Rank N > 0 writes to the same name with ".rank{N}" added.
        distributed_rank: this process's rank.
        color: colour the console lines if the console is a terminal.
        name: the name of the logger; loggers below it ("steploop.engine") use its handlers.
        abbrev_name: replaces `name` in console lines; "" removes it.
        hold: store the lines for the file in memory until `release_log`, which creates the file.

    Returns:
        The logger.
    """
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    _remove(logger, _ConsoleHandler)
    if distributed_rank == 0:
        console = _ConsoleHandler()
        console.setLevel(logging.INFO)  # details, such as the traceback of an explained error, are in the file
        console.setFormatter(_Formatter(name, abbrev_name, is_colored=console.is_terminal if color else None))
        logger.addHandler(console)
    if output is not None:
        path = _log_file(Path(output), distributed_rank)
        if path not in [Path(h.baseFilename) for h in logger.handlers if isinstance(h, _FileHandler)]:
            _remove(logger, _FileHandler)
            file = _FileHandler(path, encoding="utf-8", delay=True)  # flushes after every line
            if not hold:
                file.write_held()
            file.setFormatter(_Formatter(name, None))
            logger.addHandler(file)
    return logger


def release_log(name: str = "steploop") -> None:
    """Write the lines that `setup_logger(..., hold=True)` stores in memory; from then on, write each line at once."""
    for handler in logging.getLogger(name).handlers:
        if isinstance(handler, _FileHandler):
            handler.write_held()


def close_logger(name: str = "steploop") -> None:
    """Undo `setup_logger`: close the file, remove the console handler, and pass lines to the parent logger again."""
    logger = logging.getLogger(name)
    _remove(logger, _ConsoleHandler)
    _remove(logger, _FileHandler)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def set_console_writer(write: Callable[[str], object] | None) -> None:
    """Write console lines with `write` while a live display, such as a progress bar, uses the terminal's last line.

    `write` gets a line without its newline: `set_console_writer(tqdm.write)` when a bar opens, None when it closes.
    """
    global _console_writer
    _console_writer = write


class _ConsoleHandler(logging.Handler):
    """Writes to the current sys.stdout, which a test or a notebook may have replaced since the set-up."""

    def is_terminal(self) -> bool:
        return sys.stdout.isatty()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if _console_writer is not None:
                _console_writer(line)
            else:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
        except Exception:  # logging's own rule: a line that cannot be written must not end the run
            self.handleError(record)


class _FileHandler(logging.FileHandler):
    """A separate class, so that handlers of other code are never closed. It can store its lines until `write_held`."""

    _held: list[logging.LogRecord] | None

    def __init__(self, path: Path, *, encoding: str, delay: bool) -> None:
        super().__init__(path, encoding=encoding, delay=delay)
        self._held = []

    def emit(self, record: logging.LogRecord) -> None:
        if self._held is None:
            super().emit(record)
        elif len(self._held) < _MOST_HELD:
            self._held.append(record)

    def write_held(self) -> None:
        """Create the file and write the stored lines."""
        if self._held is None:
            return
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        held, self._held = self._held, None
        for record in held:
            super().emit(record)


class _Formatter(logging.Formatter):
    """`[month/day time name]: message`, with the name of the level from WARNING on."""

    def __init__(self, name: str, abbrev_name: str | None, *, is_colored: Callable[[], bool] | None = None) -> None:
        super().__init__(datefmt="%m/%d %H:%M:%S")
        self._name = name
        self._abbrev_name = abbrev_name
        self._is_colored = is_colored
        self._second, self._stamp = -1, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        if int(record.created) != self._second:  # lines come in bursts
            self._second, self._stamp = int(record.created), super().formatTime(record, datefmt)
        return self._stamp

    def _shorten(self, name: str) -> str:
        if self._abbrev_name is None or not (name + ".").startswith(self._name + "."):
            return name
        return (self._abbrev_name + name[len(self._name) :]).lstrip(".")

    def formatMessage(self, record: logging.LogRecord) -> str:
        head = f"[{' '.join(filter(None, (self.formatTime(record, self.datefmt), self._shorten(record.name))))}]:"
        mark = record.levelname if record.levelno >= logging.WARNING else ""
        if self._is_colored is not None and self._is_colored():
            head = colored(head, "green")
            mark = colored(mark, _MARKS.get(record.levelno, "red"), attrs=["bold"]) if mark else mark
        return " ".join(filter(None, (head, mark, record.message)))


def _log_file(output: Path, rank: int) -> Path:
    path = output if output.suffix in (".txt", ".log") else output / "log.txt"
    return Path(f"{path.absolute()}.rank{rank}" if rank > 0 else path.absolute())


def _remove(logger: logging.Logger, kind: type[logging.Handler]) -> None:
    for handler in [h for h in logger.handlers if isinstance(h, kind)]:
        logger.removeHandler(handler)
        handler.close()


_counts: Counter[tuple[object, ...]] = Counter()
_last_times: dict[tuple[object, ...], float] = {}


def _caller() -> tuple[str, str, int]:
    """Return (module, file, line) of the caller of the function that calls this one."""
    frame = sys._getframe(2)
    return frame.f_globals.get("__name__", "__main__"), frame.f_code.co_filename, frame.f_lineno


def log_first_n(level: int, message: str, n: int = 1, *, name: str | None = None, key: str = "caller") -> None:
    """Log only the first `n` times.

    Args:
        level: such as logging.WARNING.
        message: the line.
        n: number of times.
        name: the logger; by default that of the calling module.
        key: what is counted: "caller" (the line of code) or "message" (the text, from any line of code).

    Raises:
        ValueError: `key` has another value.
    """
    if key not in ("caller", "message"):
        raise ValueError(f"key is 'caller' or 'message', got {key!r}")
    caller = _caller()
    counted = caller if key == "caller" else (message,)
    _counts[counted] += 1
    if _counts[counted] <= n:
        logging.getLogger(name or caller[0]).log(level, message)


def log_every_n_seconds(level: int, message: str, n: float = 1, *, name: str | None = None) -> None:
    """Log at most once in `n` seconds for each calling line of code; `name` as in `log_first_n`."""
    caller = _caller()
    now = time.monotonic()
    last = _last_times.get(caller)
    if last is None or now - last >= n:
        _last_times[caller] = now
        logging.getLogger(name or caller[0]).log(level, message)
