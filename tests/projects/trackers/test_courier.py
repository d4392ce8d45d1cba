import threading

import pytest

from steploop.projects.trackers import courier as module
from steploop.projects.trackers.courier import Courier


@pytest.fixture
def courier():
    courier = Courier("a tool")
    yield courier
    assert courier.close(10)


def failing(error):
    def call():
        raise error

    return call


def test_calls_are_made_in_order_and_elsewhere(courier):
    made = []
    for number in range(100):
        courier.put(lambda number=number: made.append((number, threading.current_thread().name)))
    courier.flush(10)
    assert made == [(number, "courier to a tool") for number in range(100)]


def test_only_the_first_failure_is_told_and_the_next_call_is_made(courier, caplog):
    made = []
    for call in (failing(OSError("no route")), failing(ValueError("other")), lambda: made.append(1)):
        courier.put(call)
    courier.flush(10)
    assert made == [1]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "a tool failed" in record.message and "OSError: no route" in record.message


def test_what_does_not_answer_is_waited_for_once_until_it_does(courier):
    stuck, made = threading.Event(), []
    courier.put(stuck.wait)
    courier.flush(0.01)
    courier.flush(10_000)  # returns, because the first was in vain
    stuck.set()
    assert courier._wait(10)
    courier.put(lambda: made.append(1))
    courier.flush(10)  # waits again
    assert made == [1]


def test_the_queue_is_bounded(courier, caplog):
    stuck, taken, made = threading.Event(), threading.Event(), []
    courier.put(lambda: (taken.set(), stuck.wait()))
    assert taken.wait(10)
    for number in range(module.MOST_WAITING + 10):
        courier.put(lambda number=number: made.append(number))
    assert "1000 calls wait already" in caplog.text
    courier.flush(0.01)  # there is not even a place to wait at
    stuck.set()
    assert courier._wait(10)
    assert made == list(range(module.MOST_WAITING))


def test_a_tool_that_never_answers_does_not_keep_the_run_from_its_end(caplog):
    courier = Courier("a tool")
    stuck = threading.Event()
    courier.put(stuck.wait)
    assert not courier.close(0.01)
    assert "did not answer for 0.01 s" in caplog.text
    assert courier._thread.daemon
    stuck.set()
    assert courier.close(10)
