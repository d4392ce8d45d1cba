"""Checkpoint files, and the file that names the last one."""

import functools
import io
import os
import pickle
import struct
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from checkpoint_damage import repack
from steploop.engine.checkpoint import (
    Checkpointer,
    CheckpointError,
    DamagedCheckpoint,
    UnsafeCheckpoint,
    read_checkpoint,
)

from .harness import Kind
from .mutations import mutate_bytes, odd_text, pick

_LEAVES = (str, bytes, int, float, bool, type(None), torch.device, torch.dtype)
# Opcodes that call something, allocate, or point somewhere else.
PICKLES = (
    b"cos\nsystem\n(S'touch ran'\ntR", b"(S'touch ran'\nios\nsystem\n", b"(cos\nsystem\nS'touch ran'\no",
    b"\x8c\x02os\x8c\x06system\x93(S'touch ran'\ntR", b"cbuiltins\nexec\n(S'open(\"ran\",\"w\")'\ntR",
    b"ctorch\nload\n(S'x'\ntR", b"ctorch.storage\nUntypedStorage\n(J\xff\xff\xff\x7ftR", b"c__builtin__\neval\n",
    b"ccollections\nOrderedDict\n)R", b"ctorch\ndevice\n(S'cuda'\ntR", b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR",
    b"r\xff\xff\xff\xff", b"X\xff\xff\xff\xff", b"\x8a\xff" + b"\xff" * 255, b"\x8b\xff\xff\xff\x7f",
    b"\x8e" + b"\xff" * 8,
    b"J\xff\xff\xff\x7f", b"K\x00", b"N", b"2", b"0", b"(" * 500, b"]" * 300 + b"a" * 299, b"h\x00",
    b"j\x00\x00\x00\x00",
    b"\x85", b"t", b"}", b"u", b"s", b"b", b"Q", b".", b"\x80\x05", b"ctorch\nint4\n", b"ctorch\nuint16\n", b"\x82\x01",
)  # fmt: skip
NUMBERS = tuple(struct.pack("<I", n) for n in (0, 1, 2**16, 2**24, 2**31 - 1, 2**32 - 1)) + (
    b"PK\x01\x02",
    b"PK\x05\x06",
)
NAMES = (
    *("", ".", "..", "/", "../file", "../outside/file", "/etc/passwd", "/dev/zero", ".lock", "folder", "missing.pth"),
    *(
        "a\0b",
        "\0",
        "model.pth\n\n",
        " model.pth ",
        "model.pth\nmodel.pth",
        "n" * 300,
        "\u00e9" * 200,
        "\u202e",
        "loop",
    ),
    *("damaged.pth", "pipe", "model.pth/", "./model.pth", "~", "$HOME", "x" * 100_000),
)


class Model(nn.Module):
    """A model of each thing that a state dict holds: a norm, a count, weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)


class Keeper:
    """Something with a state that takes anything."""

    def __init__(self) -> None:
        self.state: Any = {"place": [1, 2.5, "x", None, (True, torch.arange(3))]}

    def state_dict(self) -> Any:
        return self.state

    def load_state_dict(self, state: Any) -> None:
        self.state = state


@functools.cache
def seeds() -> dict[str, bytes]:
    """Return whole files, by the way in which they were written."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        checkpointer = Checkpointer(Model(), folder, save_to_disk=True, keeper=Keeper())
        checkpointer.save("model", iteration=7)
        ours = (Path(folder) / "model.pth").read_bytes()
    return {"ours": ours, "legacy": _saved(Model().state_dict(), legacy=True), "bare": _saved(Model().state_dict())}


def prepare_checkpoint(folder: Path, rng: np.random.Generator) -> Callable[[], object]:
    """Write a checkpoint file that is harmed, made by hand with right checksums, or of another structure."""
    path = folder / pick(("x.pth", "x.pth", "x.pkl", "x"), rng)
    match rng.integers(5):
        case 0:
            path.write_bytes(mutate_bytes(seeds()["ours"], rng, NUMBERS))
            return lambda: _load(path, Model().state_dict().keys())
        case 1 | 2:  # its checksums are right
            source = folder / "seed"
            source.write_bytes(seeds()[pick(("ours", "bare"), rng)])
            repack(source, path, lambda name, data: mutate_bytes(data, rng, PICKLES) if name.endswith(".pkl") else data)
        case 3:
            path.write_bytes(mutate_bytes(seeds()["legacy"], rng, PICKLES))
        case 4:
            path.write_bytes(_saved(_odd_tree(rng), legacy=rng.random() < 0.3))
    return lambda: _load(path, None)


def prepare_pointer(folder: Path, rng: np.random.Generator) -> Callable[[], object]:
    """Write a folder with one whole checkpoint and a `last_checkpoint` that may hold or be anything."""
    (folder / "model.pth").write_bytes(seeds()["ours"])
    (folder / "damaged.pth").write_bytes(mutate_bytes(seeds()["ours"], rng)[: int(rng.integers(1, 2000))])
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    pointer = folder / "last_checkpoint"
    match rng.integers(10):
        case 0:
            pointer.mkdir()
        case 1:
            pointer.symlink_to(pick(("loop", "folder", "missing", "pipe", "/dev/null"), rng))
        case 2:
            pointer.write_bytes(rng.bytes(int(rng.integers(300))))
        case 3 | 4:
            pointer.write_bytes(mutate_bytes(b"model.pth", rng))
        case 5:
            pointer.write_text(odd_text(rng, 40))
        case _:
            pointer.write_text(pick(NAMES, rng))

    def resume() -> None:
        model, keeper = Model(), Keeper()
        checkpointer = Checkpointer(model, folder, save_to_disk=True, keeper=keeper)
        assert checkpointer.has_checkpoint(), "the checkpoint is not seen"
        rest = checkpointer.resume_or_load("")
        assert rest == {"iteration": 7} and checkpointer.resumed_from == str(folder / "model.pth"), rest
        _assert_same(model.state_dict(), read_checkpoint(folder / "model.pth")["model"])

    return resume


def _load(path: Path, names: Any) -> None:
    """Load a file as a run does; with `names`, what it holds was not changed unless that is told."""
    try:
        tree = read_checkpoint(path)
        _assert_plain(tree)
        if names is not None:
            _assert_same(tree["model"], _original())
        Checkpointer(Model(), path.parent, save_to_disk=True, keeper=Keeper()).load(path)
    except ValueError as error:
        assert type(error) is ValueError or path.name in str(error), f"the error does not name the file: {error}"
        raise


@functools.cache
def _original() -> dict[str, torch.Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pth"
        path.write_bytes(seeds()["ours"])
        return read_checkpoint(path)["model"]


def _assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected), "other weights than were saved"


def _assert_plain(tree: Any) -> None:
    """Check that a tree is plain data to its leaves and keys."""
    if isinstance(tree, torch.Tensor):
        assert type(tree) in (torch.Tensor, nn.Parameter) and tree.device.type == "cpu"
    elif type(tree) in (dict, OrderedDict):
        for key, value in tree.items():
            assert not isinstance(key, torch.Tensor), "a tensor is a key"
            _assert_plain(key)
            _assert_plain(value)
    elif type(tree) in (list, tuple):
        for value in tree:
            _assert_plain(value)
    else:
        assert type(tree) in _LEAVES, f"not plain data: {type(tree)}"


def _saved(tree: Any, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(tree, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def _odd_tree(rng: np.random.Generator) -> Any:
    """Return a checkpoint in which one thing is of another kind than it should be."""
    tree: Any = {"model": Model().state_dict(), "keeper": Keeper().state, "iteration": 7}
    odd = pick(_odd_values(), rng)
    weights = tree["model"]
    match rng.integers(8):
        case 0:
            weights[pick(list(weights), rng)] = odd
        case 1:
            weights[pick((odd_text(rng), "module.x", "", "conv.weight.x", 3, None, ("a", 1)), rng)] = odd
        case 2:
            weights._metadata = pick((odd, {"": odd}, {"norm": odd}, {"norm": {"version": odd}}, {3: odd}), rng)
        case 3:
            tree = {pick(("model", "state_dict", "weights", 3), rng): odd, "state_dict": weights}
        case 4:
            tree = odd
        case 5:
            tree["iteration"] = odd
        case 6:
            tree["model"] = OrderedDict((f"module.{name}", value) for name, value in weights.items())
            tree["model"]._metadata = pick((odd, {"module.norm": odd}, {"module": odd, 3: odd}), rng)
        case 7:
            tree[pick(("", 3, None, ("a", (1, 2)), odd_text(rng), torch.ones(1)), rng)] = odd
    return tree


def _odd_values() -> tuple[Any, ...]:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    weird = torch.zeros(1, dtype=torch.int32)
    return (
        None, True, -1, 10**70, 1e999, "", "x", b"x", [], {}, (), [1], {"": {}}, {"version": "x"}, deep,
        torch.device("cpu"),
        torch.float64, weird, weird.bool(), torch.zeros(2, 1, 3, 3, dtype=torch.complex64), torch.zeros(0),
        torch.tensor(3.0),
        torch.zeros(1).expand(10**12), torch.zeros(2, 1, 3, 3).to_sparse(), torch.zeros(2, device="meta"),
        np.float64(3),
        torch.zeros(2, dtype=torch.float8_e5m2),
        torch.zeros(2, 1, 3, 3).to(torch.uint16), nn.Parameter(torch.zeros(2)), torch.Size([1]), np.zeros(2),
        {1, 2}, 1j,
        pickle.PickleBuffer, zipfile.ZipFile,
    )  # fmt: skip


ERRORS = (CheckpointError, DamagedCheckpoint, UnsafeCheckpoint, ValueError, FileNotFoundError)
CHECKPOINT = Kind("checkpoint", ERRORS, prepare_checkpoint, weight=2)
# A folder that holds a whole checkpoint can always be resumed.
POINTER = Kind("last_checkpoint", (), prepare_pointer)
