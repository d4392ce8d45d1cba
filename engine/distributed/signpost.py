"""How processes find each other at a rendezvous that nobody but them knows of.

Rank 0 puts up a signpost at the first of the ports that is free: whoever connects is told the name of the run and the
port of its store, which the system chose. The others ask at the same ports, and pass by whatever is not the signpost
of their run. (A store at the port itself would not do: a client that meets a stranger there, who accepts its
connection and stays silent, waits for ever, whatever its time-out.)
"""

import contextlib
import errno
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist

from .rendezvous import LOOPBACK, REMEDY, Rendezvous

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 2.0
_LOUD_AFTER = 30.0
_MAX_PAUSE = 1.0


@contextmanager
def joined_store(place: Rendezvous, rank: int, timeout: timedelta) -> Iterator[dist.TCPStore]:
    """Give the store of this run; leave the context when every rank has it.

    Args:
        place: the same on every rank.
        rank: 0 makes the store, the others look for it.
        timeout: of the search, and of what the store is asked later.

    Raises:
        OSError: every port is taken, or rank 0 was not found in time (TimeoutError).
    """
    if rank != 0:
        address, port = _find_signpost(place, rank, timeout.total_seconds())
        yield dist.TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=timeout)
        return
    store = dist.TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False, timeout=timeout)
    with _signpost(place, store.port):
        yield store


def _text(place: Rendezvous) -> str:
    return f"steploop {place.token} "


@contextmanager
def _signpost(place: Rendezvous, store_port: int) -> Iterator[None]:
    """Tell whoever connects where the store is, for as long as the context lasts."""
    listener = _listen(place)
    text = f"{_text(place)}{store_port}\n".encode()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the context has ended
                return
            with connection, contextlib.suppress(OSError):  # who asked may have gone
                connection.sendall(text)

    thread = threading.Thread(target=serve, name="signpost", daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def _listen(place: Rendezvous) -> socket.socket:
    if place.addresses == (LOOPBACK,):
        host, both, family = LOOPBACK, False, socket.AF_INET
    else:
        host, both = "", socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
    for port in place.ports:
        try:
            return socket.create_server((host, port), family=family, backlog=1024, dualstack_ipv6=both)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"rank 0 found every port taken ({place}); {REMEDY}")


def _find_signpost(place: Rendezvous, rank: int, seconds: float) -> tuple[str, int]:
    """Look for rank 0, which may not have begun yet."""
    start = time.monotonic()
    pause, is_quiet = 0.05, True
    while True:
        for port in place.ports:
            for address in place.addresses:
                if (store_port := _ask(place, address, port)) is not None:
                    return address, store_port
        waited = time.monotonic() - start
        if waited > seconds:
            raise TimeoutError(f"rank {rank} found no rank 0 in {seconds:g} s (looked at {place}): {REMEDY}")
        if waited > _LOUD_AFTER and is_quiet:
            logger.warning("rank %d has been looking for rank 0 for %.0f s, at %s", rank, waited, place)
            is_quiet = False
        time.sleep(pause)
        pause = min(2 * pause, _MAX_PAUSE)


def _ask(place: Rendezvous, address: str, port: int) -> int | None:
    """Return the port of the store, if it is this run's signpost that stands there."""
    try:
        with socket.create_connection((address, port), timeout=_ANSWER_SECONDS) as connection:
            answer = connection.makefile("rb").readline(100)
    except OSError:
        return None
    match = re.fullmatch(re.escape(_text(place)) + r"(\d+)\n", answer.decode("ascii", errors="replace"))
    return int(match[1]) if match else None
