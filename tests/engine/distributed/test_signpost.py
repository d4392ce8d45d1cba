import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist

from steploop.engine.distributed import signpost
from steploop.engine.distributed.rendezvous import LOOPBACK, Rendezvous
from steploop.engine.distributed.signpost import joined_store

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(signpost, "_ANSWER_SECONDS", 0.3)


@pytest.fixture
def ports():
    """Free ports, in the order in which they are tried."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(3)]
        return tuple(s.getsockname()[1] for s in sockets)


def meet(place, ranks=3, timeout=MINUTE):
    """Let each rank put its number into the store and read those of all."""
    everyone = threading.Barrier(ranks)

    def be(rank):
        with joined_store(place, rank, timeout) as store:
            store.set(f"rank{rank}", str(rank))
            everyone.wait(60)
            seen = [int(store.get(f"rank{other}")) for other in range(ranks)]
            everyone.wait(60)
            return seen

    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(be, range(ranks)))


def test_everyone_finds_rank_0(ports):
    assert meet(Rendezvous("a", (LOOPBACK,), ports)) == [[0, 1, 2]] * 3


def test_every_address_of_a_machine_is_tried(ports):
    assert meet(Rendezvous("a", ("no-such-host.invalid", LOOPBACK), ports), ranks=2) == [[0, 1]] * 2


def test_those_who_come_first_wait(ports):
    place = Rendezvous("a", (LOOPBACK,), ports)

    def come():
        with joined_store(place, 1, MINUTE) as store:
            return store.get("word")

    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(come)
        assert not early.done()
        with joined_store(place, 0, MINUTE) as store:
            store.set("word", "here")
            assert early.result(60) == b"here"


def test_strangers_at_the_port_are_passed_by(ports):
    """One that is silent, and the store of another program."""
    with socket.create_server((LOOPBACK, ports[0])):
        other = dist.TCPStore(LOOPBACK, ports[1], is_master=True, wait_for_workers=False)
        assert meet(Rendezvous("a", (LOOPBACK,), ports), ranks=2) == [[0, 1]] * 2
        assert other.num_keys() == 0


def test_another_run_at_the_same_ports_is_not_joined(ports):
    mine, other = Rendezvous("a", (LOOPBACK,), ports), Rendezvous("b", (LOOPBACK,), ports)
    with joined_store(other, 0, MINUTE) as store:
        store.set("rank0", "7")
        assert meet(mine, ranks=2) == [[0, 1]] * 2


def test_every_port_is_taken(ports):
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(socket.create_server((LOOPBACK, port)))
        with (
            pytest.raises(OSError, match="every port taken .*set MASTER_ADDR.*MASTER_PORT"),
            joined_store(Rendezvous("a", (LOOPBACK,), ports), 0, MINUTE),
        ):
            pass


def test_nobody_comes(ports, monkeypatch, caplog):
    monkeypatch.setattr(signpost, "_LOUD_AFTER", 0.0)
    with (
        pytest.raises(TimeoutError, match="rank 1 found no rank 0 in 0.2 s .*set MASTER_ADDR"),
        joined_store(Rendezvous("a", (LOOPBACK,), ports), 1, timedelta(seconds=0.2)),
    ):
        pass
    assert caplog.text.count("has been looking for rank 0") == 1
