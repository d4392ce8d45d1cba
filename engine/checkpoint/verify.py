"""Detects damaged checkpoint files before torch.load, which does not detect a changed bit in a tensor."""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import CheckpointError, DamagedCheckpoint

_CHUNK = 1 << 20
# Errors that zipfile raises for bytes that are not a zip archive.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)
_REMEDY = "Use an older checkpoint, or copy it again from where it came from."


def is_zip(path: str | os.PathLike[str]) -> bool:
    """Return True if the file starts like a zip archive of torch.save, the format that torch >= 1.6 writes."""
    with Path(path).open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def verify_file(path: str | os.PathLike[str]) -> None:
    """Read a checkpoint file once and compare the CRC-32 of each record with the stored one.

    Memory: one chunk of 1 MiB, whatever sizes the headers claim.

    Raises:
        FileNotFoundError: the file does not exist.
        DamagedCheckpoint: it is truncated, or bits of it have changed.
        CheckpointError: it is undamaged, but torch.save did not write it.
    """
    with _archive(path) as archive:
        for info in archive.infolist():
            _check_record(archive, info)


def read_pickle(path: str | os.PathLike[str]) -> bytes:
    """Return the verified record that describes a checkpoint's structure; no tensor data are read.

    Raises:
        FileNotFoundError, DamagedCheckpoint, CheckpointError: as for `verify_file`.
    """
    with _archive(path) as archive:
        return archive.read(next(info for info in archive.infolist() if info.filename.endswith("/data.pkl")))


@contextmanager
def _archive(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    with Path(path).open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check_structure(path, archive, _size(file))
                yield archive
        except CheckpointError:
            raise
        except _ZIP_ERRORS as error:
            raise DamagedCheckpoint(f"{path} is damaged or cut short ({error}). {_REMEDY}") from error


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _check_structure(path: str | os.PathLike[str], archive: zipfile.ZipFile, size: int) -> None:
    """Check the archive's directory, so that no entry can make a reader allocate more than the file's size."""
    records = archive.infolist()
    names = [info.filename for info in records]
    if len(set(names)) != len(names):
        raise CheckpointError(f"{path} holds two records of one name; it was not written by torch.save")
    if any(info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size for info in records):
        raise CheckpointError(f"{path} is a compressed archive, and torch.save writes none: save it with torch.save")
    if sum(info.file_size for info in records) > size:
        raise DamagedCheckpoint(f"{path} has {size} bytes and claims to hold more. {_REMEDY}")
    pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1 or any(not name.startswith(pickles[0].removesuffix("data.pkl")) for name in names):
        raise CheckpointError(f"{path} is a zip archive, but not one of torch.save (records: {names[:5]})")
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(f"{path} is a TorchScript program; save its state_dict() with torch.save instead")


def _check_record(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    # zipfile compares the checksum after the last byte; its error names the record.
    with archive.open(info) as record:
        while record.read(_CHUNK):
            pass
