"""Small files that claim, or grow to, absurd sizes: tried in a process that may take little memory.

python -m fuzzing.bombs FOLDER    (with tests/support on PYTHONPATH) prints {name: outcome} as JSON
"""

import io
import json
import logging
import resource
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from checkpoint_damage import repack
from steploop.config import load_yaml
from steploop.data.pictures.reading import read_image
from steploop.engine.checkpoint import read_checkpoint
from steploop.engine.checkpoint.resume import read_pointer
from steploop.engine.defaults.records import load_results
from steploop.engine.metrics.writers.json_lines import cut_lines
from steploop.engine.run.folder import start_run

# Beyond what the process has when it begins.
ALLOWANCE = 400 << 20
TERABYTE = 1 << 40


def bombs(folder: Path) -> dict[str, Callable[[], object]]:
    """Write the files, and return what reads each of them."""
    actions: dict[str, Callable[[], object]] = {}
    for name, data in _images().items():
        path = folder / f"{name}.img"
        path.write_bytes(data)
        actions[name] = lambda path=path: read_image(path)
    for name, path in _checkpoints(folder).items():
        actions[name] = lambda path=path: read_checkpoint(path)
    readers: tuple[tuple[str, Callable[[Path], object]], ...] = (
        ("image.jpg", read_image),
        ("config.yaml", load_yaml),
        ("last_checkpoint", lambda path: read_pointer(path.parent)),
        ("results.json", lambda path: load_results(path.parent, 7)),
        ("manifest.json", lambda path: start_run(path.parent)),
        ("metrics.json", lambda path: cut_lines(path, 7)),
        ("checkpoint.pth", read_checkpoint),
    )
    for name, reader in readers:
        for kind in ("terabyte", "endless"):
            path = folder / kind / name.replace(".", "_") / name
            path.parent.mkdir(parents=True)
            if kind == "endless":
                path.symlink_to("/dev/zero")
            else:
                _make_sparse(path, b"")
            if (kind, name) != ("endless", "metrics.json"):  # nobody makes a link of the file that he writes
                actions[f"{kind} {name}"] = lambda path=path, reader=reader: reader(path)
    return actions


def _images() -> dict[str, bytes]:
    """Return images whose headers, or contents, are of absurd sizes."""
    row = zlib.compress(bytes(3000 * 3001))
    found = {
        "png header": _png(2**31 - 1, 2**31 - 1, row),
        "png over the limit": _png(60_000, 3_000, row),
        "png of no rows": _png(0, 5, row),
        "png text": _png(8, 8, row, (b"zTXt", b"k\0\0" + zlib.compress(bytes(200 << 20)))),
        "bmp header": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
        "ppm header": b"P6 2000000000 2000000000 255\n" + bytes(100),
        "gif header": _patched("GIF", 6, struct.pack("<HH", 65535, 65535)),
        "webp header": _webp_header(),
        "tiff header": _tiff_header(),
    }
    jpeg = bytearray(_patched("JPEG", 0, b""))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    return found | {"jpeg header": bytes(jpeg)}


def _png(width: int, height: int, pixels: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in (header, *chunks, (b"IDAT", pixels), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))
    return b"".join(parts)


def _patched(kind: str, at: int, patch: bytes) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    data = bytearray(file.getvalue())
    data[at : at + len(patch)] = patch
    return bytes(data)


def _webp_header() -> bytes:
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xff\xff\0" * 2
    chunk += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def _tiff_header() -> bytes:
    entries = {256: 2**31 - 1, 257: 2**31 - 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 2**31 - 1, 279: 2**31 - 1}
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


def _checkpoints(folder: Path) -> dict[str, Path]:
    """Write checkpoints whose headers claim absurd sizes, and return their paths."""
    whole, legacy = folder / "whole.pth", folder / "legacy.pth"
    numbers = {"model": {"w": torch.arange(70_000.0)}}
    torch.save(numbers, whole)
    torch.save(numbers, legacy, _use_new_zipfile_serialization=False)
    small, large = struct.pack("<I", 70_000), struct.pack("<I", 2**31 - 1)
    found = {name: folder / f"{name}.pth" for name in ("shape", "deflated", "allocation", "legacy shape", "zip header")}
    repack(whole, found["shape"], lambda name, data: data.replace(small, large) if name.endswith(".pkl") else data)
    found["legacy shape"].write_bytes(legacy.read_bytes().replace(small, large))
    grown = {"data/0": bytes(500 << 20)}
    repack(whole, found["deflated"], lambda name, data: grown.get(name[-6:], data), zipfile.ZIP_DEFLATED)
    call = b"\x80\x02}X\x05\0\0\0modelctorch.storage\nUntypedStorage\n\x8a\x06\0\0\0\0\0\x01\x85Rs."
    repack(whole, found["allocation"], lambda name, data: call if name.endswith(".pkl") else data)
    data = whole.read_bytes()
    found["zip header"].write_bytes(data.replace(struct.pack("<II", 280_000, 280_000), b"\xfe\xff\xff\xff" * 2))
    found["sparse zip"] = folder / "sparse zip.pth"
    _make_sparse(found["sparse zip"], data)
    return found


def _make_sparse(path: Path, beginning: bytes) -> None:
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(TERABYTE)


def main() -> None:
    """Try all, and print what came of each."""
    logging.disable(logging.CRITICAL)
    folder = Path(sys.argv[1])
    actions = bombs(folder)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ALLOWANCE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    outcomes = {}
    for name, action in actions.items():
        try:
            action()
            outcomes[name] = "read"
        except Exception as error:
            outcomes[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
