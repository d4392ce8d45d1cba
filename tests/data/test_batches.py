"""A program ends although a worker is stuck or a sample is broken."""

import subprocess
import sys
import time

import pytest

from steploop.data import batches, build_test_loader

PROGRAM = """
import sys, time, torch
from steploop.data import batches, build_test_loader
batches.GRACE = 0.5
class Items(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, draw):
        index = draw[0]
        if index == 7 and sys.argv[1] == "broken":
            raise OSError("image 7 is broken")
        if index == 7:
            time.sleep(300)
        return {"x": torch.ones(3)}
for number, batch in enumerate(build_test_loader(Items(), 2, num_workers=2)):
    if number == 2 and sys.argv[1] == "stuck":
        raise FloatingPointError("the loss is NaN")
"""


@pytest.mark.parametrize(
    ("kind", "error"), [("stuck", "FloatingPointError: the loss is NaN"), ("broken", "image 7 is broken")]
)
def test_an_error_ends_the_program_with_that_error(kind, error):
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PROGRAM, kind], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and error in done.stderr
    assert time.monotonic() - start < 60  # without an end of its own it would wait for ever


class Stuck:
    def __len__(self):
        return 4

    def __getitem__(self, draw):
        if draw[0]:
            time.sleep(300)
        return {"x": float(draw[0])}


def test_close_kills_a_worker_that_does_not_end(monkeypatch):
    monkeypatch.setattr(batches, "GRACE", 0.2)
    iterator = iter(build_test_loader(Stuck(), 1, num_workers=1))
    next(iterator)
    workers = iterator._workers
    assert workers[0].is_alive()
    iterator.close()
    iterator.close()
    assert not workers[0].is_alive()
    with pytest.raises(RuntimeError, match="this iterator was closed"):
        next(iterator)


def test_an_iterator_that_nobody_refers_to_ends_its_workers(monkeypatch):
    monkeypatch.setattr(batches, "GRACE", 0.2)
    iterator = iter(build_test_loader(Stuck(), 1, num_workers=1))
    workers = iterator._workers
    del iterator
    assert not workers[0].is_alive()
