import errno
import resource
import signal

import pytest
from torch import nn

from steploop.engine.checkpoint import Checkpointer, read_checkpoint
from steploop.engine.hooks import PeriodicCheckpointer
from steploop.engine.run import files as run_files


def make(folder, period=2, *, asynchronous=False, size=2, **kwargs):
    checkpointer = Checkpointer(nn.Linear(size, size), folder, asynchronous=asynchronous)
    return PeriodicCheckpointer(checkpointer, period, **kwargs)


def files(folder):
    return sorted(path.name for path in folder.glob("*.pth"))


def test_names_and_times(tmp_path):
    periodic = make(tmp_path, 2, max_iter=5)
    for iteration in range(5):
        periodic.step(iteration, note="x")
    assert files(tmp_path) == ["model_0000001.pth", "model_0000003.pth", "model_final.pth"]
    read = read_checkpoint(tmp_path / "model_final.pth")
    assert (read["iteration"], read["note"]) == (4, "x")
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"


def test_period_zero_saves_at_the_end_only(tmp_path):
    periodic = make(tmp_path, 0, max_iter=3)
    for iteration in range(3):
        periodic.step(iteration)
    assert files(tmp_path) == ["model_final.pth"]


def test_last_step_is_saved_once_where_the_period_hits_it(tmp_path):
    periodic = make(tmp_path, 2, max_iter=4)
    for iteration in range(4):
        periodic.step(iteration)
    assert files(tmp_path) == ["model_0000001.pth", "model_final.pth"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_max_to_keep_counts_files_from_before_the_resume(tmp_path, asynchronous):
    for start in (0, 6):
        periodic = make(tmp_path, 2, max_to_keep=2, max_iter=12, asynchronous=asynchronous)
        for iteration in range(start, start + 6):
            periodic.step(iteration)
        periodic.checkpointer.close()
        if start == 0:
            assert files(tmp_path) == ["model_0000003.pth", "model_0000005.pth"]
    assert files(tmp_path) == ["model_0000007.pth", "model_0000009.pth", "model_final.pth"]


def test_old_file_goes_only_when_the_pointer_names_its_successor(tmp_path, monkeypatch):
    periodic = make(tmp_path, 1, max_to_keep=1)
    periodic.step(0)
    write = run_files.write_atomically

    def fail_on_pointer(path, function):
        if path.name == "last_checkpoint":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, function)

    monkeypatch.setattr(run_files, "write_atomically", fail_on_pointer)
    periodic.step(1)
    assert "model_0000000.pth" in files(tmp_path)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_full_disk_ends_only_the_final_save(tmp_path, caplog, asynchronous):
    """A limit on the size of files stands for the full disk: writes fail in the middle, as there."""
    periodic = make(tmp_path, 1, max_iter=4, size=300, asynchronous=asynchronous)
    periodic.step(0)
    periodic.checkpointer.wait()
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        periodic.step(1)
        periodic.step(2)
        with pytest.raises(OSError, match="File too large"):
            periodic.step(3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    errors = [record.message for record in caplog.records if "the training goes on" in record.message]
    assert len(errors) == 2
    assert files(tmp_path) == ["model_0000000.pth"]
    assert read_checkpoint(tmp_path / "model_0000000.pth")["iteration"] == 0
    periodic.step(3)
    assert read_checkpoint(tmp_path / "model_final.pth")["iteration"] == 3


def test_folder_that_cannot_be_written(tmp_path, caplog):
    (tmp_path / "file").touch()
    periodic = make(tmp_path / "file" / "run", 1, max_iter=2)
    periodic.step(0)
    assert "the training goes on" in caplog.text
    with pytest.raises(NotADirectoryError):
        periodic.step(1)


def test_what_is_not_plain_ends_the_run_also_when_periodic(tmp_path):
    with pytest.raises(TypeError, match="checkpoint.x"):
        make(tmp_path, 1).step(0, x=object())


@pytest.mark.parametrize("kwargs", [{"period": -1}, {"period": 1, "max_to_keep": 0}])
def test_settings_are_checked(tmp_path, kwargs):
    with pytest.raises(ValueError, match="got"):
        make(tmp_path, **kwargs)
