import errno
import os
import stat

import pytest

from steploop.engine.run.files import clean_temporary, write_atomically, write_text_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_write_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text_atomically(path, "old")
    write_text_atomically(path, "néw")
    assert path.read_text(encoding="utf-8") == "néw"
    assert names(tmp_path) == ["a.txt"]


def test_order_is_flush_file_rename_flush_folder(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, type(tmp_path).replace

    def seen_fsync(descriptor):
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def seen_replace(self, target):
        assert self.read_bytes() == b"all of it"
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(type(tmp_path), "replace", seen_replace)
    write_text_atomically(tmp_path / "a", "all of it")
    assert events == ["file", "rename", "folder"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_failed_write_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    write_text_atomically(path, "old")

    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_clean_removes_only_our_leftovers(tmp_path):
    for name in (".model.pth.123.steploop-tmp", "model.pth", ".hidden", "a.tmp", ".lock"):
        (tmp_path / name).touch()
    assert clean_temporary(tmp_path) == [".model.pth.123.steploop-tmp"]
    assert names(tmp_path) == [".hidden", ".lock", "a.tmp", "model.pth"]
