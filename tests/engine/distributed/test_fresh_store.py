from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist

from steploop.engine.distributed.fresh_store import fresh_store

MINUTE = timedelta(minutes=1)


@pytest.fixture
def connect():
    """One store that outlives starts of the run, and a connection to it for each process."""
    server = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    return lambda: dist.TCPStore("127.0.0.1", server.port, is_master=False, wait_for_workers=False)


def start(connect, ranks=3):
    """Let each rank put its address into the store, and read those of all."""

    def be(rank):
        store = fresh_store(connect(), rank, ranks, MINUTE)
        store.set(f"address/{rank}", str(id(store)))
        return [store.get(f"address/{other}") for other in range(ranks)]

    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(be, range(ranks)))


def test_every_start_sees_its_own_addresses(connect):
    seen = []
    for _ in range(3):
        addresses = {tuple(found) for found in start(connect)}
        assert len(addresses) == 1
        seen.append(addresses.pop())
    assert len(set(seen)) == 3


def test_a_rank_that_comes_after_its_old_hello_was_answered(connect):
    store = connect()
    store.set("steploop/hello/1", "old")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fresh_store, connect(), 0, 2, MINUTE)
        store.wait(["steploop/answer/old"], MINUTE)
        assert not first.done()
        second = pool.submit(fresh_store, connect(), 1, 2, MINUTE)
        first.result(60).set("word", "here")
        assert second.result(60).get("word") == b"here"


def test_who_has_not_come_is_named(connect):
    with pytest.raises(TimeoutError, match=r"these ranks have not come: \[1, 2\]"):
        fresh_store(connect(), 0, 3, timedelta(seconds=0.1))
    with pytest.raises(dist.DistStoreError):
        fresh_store(connect(), 2, 3, timedelta(seconds=0.1))
