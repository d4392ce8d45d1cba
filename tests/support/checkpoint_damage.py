"""Ways to harm a checkpoint file."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return `data` with one random harm: flipped bits, a cut, zeros, a repeated, inserted or removed block."""
    harmed = bytearray(data)
    start = int(rng.integers(len(data)))
    length = int(rng.integers(1, 64))
    match rng.integers(6):
        case 0:
            for position in rng.integers(len(data), size=rng.integers(1, 4)):
                harmed[position] ^= 1 << int(rng.integers(8))
        case 1:
            del harmed[start:]
        case 2:
            harmed[start : start + length] = bytes(len(harmed[start : start + length]))
        case 3:
            harmed[start:start] = harmed[start : start + length]
        case 4:
            harmed[start:start] = rng.bytes(length)
        case 5:
            del harmed[start : start + length]
    return bytes(harmed)


def repack(
    source: Path, target: Path, edit: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED
) -> None:
    """Copy a checkpoint, passing each record through `edit(name, data)`, with right checksums."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            new.writestr(info.filename, edit(info.filename, old.read(info)))
