"""A part of a store that no earlier start of the run has written to.

torchrun keeps its store when it starts its processes again, and what gloo and NCCL have left there are addresses: a
process that reads one before its new owner has replaced it calls a process that is dead
(https://github.com/pytorch/pytorch/issues/135712). The restart count would not do as a prefix: each machine's agent
counts for itself.
"""

import secrets
import time
from datetime import timedelta

import torch.distributed as dist

_PAUSE = 0.02


def fresh_store(store: dist.Store, rank: int, world_size: int, timeout: timedelta) -> dist.Store:
    """Agree with the other ranks on a new name, and return the part of the store below it.

    Rank 0 thinks of the name. Each of the others says hello with a number that it has just drawn, and waits for the
    name in answer to that number; rank 0 may answer an old number first, but goes on until every rank has the name.

    Args:
        store: the same on every rank; processes of an earlier start have ended.
        rank: in [0, world_size).
        world_size: all of them call this.
        timeout: of the wait for the others.

    Raises:
        TimeoutError: a rank has not come; the message says which.
        dist.DistStoreError: rank 0 has not come.
    """
    if rank == 0:
        name = secrets.token_hex(8)
        _introduce(store, name, set(range(1, world_size)), timeout.total_seconds())
    else:
        number = secrets.token_hex(8)
        store.set(f"steploop/hello/{rank}", number)
        answer = f"steploop/answer/{number}"
        store.wait([answer], timeout)
        name = store.get(answer).decode()
        store.set(f"steploop/{name}/{rank}", "")
    return dist.PrefixStore(f"steploop/{name}", store)


def _introduce(store: dist.Store, name: str, missing: set[int], seconds: float) -> None:
    """Answer every rank that says hello, until all that were missing have the name."""
    deadline = time.monotonic() + seconds
    answered: dict[int, bytes] = {}
    while missing:
        for rank in sorted(missing):
            if store.check([f"steploop/{name}/{rank}"]):
                missing.remove(rank)
            elif store.check([f"steploop/hello/{rank}"]):
                number = store.get(f"steploop/hello/{rank}")
                if number != answered.get(rank):
                    store.set(f"steploop/answer/{number.decode()}", name)
                    answered[rank] = number
        if time.monotonic() > deadline:
            raise TimeoutError(f"rank 0 waited {seconds:g} s; these ranks have not come: {sorted(missing)}")
        time.sleep(_PAUSE)
