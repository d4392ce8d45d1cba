import errno
import resource
import signal
from contextlib import contextmanager

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from steploop.engine import CSVWriter, EventStorage, JSONWriter, TensorboardXWriter
from steploop.engine.metrics.writers import appended
from steploop.engine.metrics.writers.appended import AppendedFile


@contextmanager
def files_of_at_most(size):
    """A limit on the size of files stands for the full disk: a write ends in the middle, as there."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_the_disk_does_not_take_is_whole_and_first_later(tmp_path):
    file = AppendedFile(tmp_path / "x", b"header\n")
    file.add(b"one\n")
    file.push()
    with files_of_at_most(20):
        file.add(b"a piece that does not fit\n")
        with pytest.raises(OSError, match="too large"):
            file.push()
        assert (tmp_path / "x").read_bytes() == b"header\none\n"
    file.add(b"two\n")
    file.close()
    assert (tmp_path / "x").read_bytes() == b"header\none\na piece that does not fit\ntwo\n"


def test_what_waits_is_bounded(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(appended, "MOST_WAITING", 10)
    file = AppendedFile(tmp_path / "missing" / "x")
    for number in range(4):
        file.add(b"%d23456" % number)
        with pytest.raises(FileNotFoundError):
            file.push()
    (tmp_path / "missing").mkdir()
    file.close()
    assert (tmp_path / "missing" / "x").read_bytes() == b"323456"
    assert "dropped" in caplog.text


@pytest.mark.parametrize("make", [lambda p: JSONWriter(p / "m"), lambda p: CSVWriter(p / "m"), TensorboardXWriter])
def test_no_value_of_a_writer_is_lost_while_the_disk_is_full(tmp_path, make):
    writer = make(tmp_path)

    def steps(first, last, *, fails):
        for step in range(first, last):
            storage.iter = step
            storage.put_scalar("a" * 50, float(step), smoothing_hint=False)
            if fails:
                with pytest.raises(OSError, match="too large") as caught:
                    writer.write()
                assert caught.value.errno == errno.EFBIG
            else:
                writer.write()

    with EventStorage() as storage:
        steps(0, 3, fails=False)
        with files_of_at_most(max(path.stat().st_size for path in tmp_path.iterdir()) + 30):
            steps(3, 6, fails=True)
        steps(6, 8, fails=False)
        writer.close()
    (path,) = tmp_path.iterdir()
    if path.name == "m":
        assert path.read_text().count("a" * 50) == 8 and path.read_text().endswith("\n")
    else:
        events = [event.step for event in EventFileLoader(str(path)).Load() if event.HasField("summary")]
        assert events == list(range(8))
