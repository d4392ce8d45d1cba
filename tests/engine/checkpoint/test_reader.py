import contextlib
import pickle
import resource
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

import checkpoint_damage as damage
from steploop.engine.checkpoint import (
    CheckpointError,
    DamagedCheckpoint,
    UnsafeCheckpoint,
    read_checkpoint,
    to_plain,
    verify_file,
    write_checkpoint,
)

STATE = {
    "model": {"weight": torch.arange(600.0), "bias": torch.ones(3)},
    "iteration": 7,
    "extra": ["a", {"b": (1.5, None)}],
}


def same(read):
    return (
        read.keys() == STATE.keys()
        and all(torch.equal(read["model"][key], tensor) for key, tensor in STATE["model"].items())
        and read["model"].keys() == STATE["model"].keys()
        and read["iteration"] == 7
        and read["extra"] == STATE["extra"]
    )


@pytest.fixture
def file(tmp_path):
    write_checkpoint(tmp_path / "good.pth", to_plain(STATE))
    return tmp_path / "good.pth"


def test_whole_file_is_read(file):
    verify_file(file)
    assert same(read_checkpoint(file))


def test_each_flipped_bit_of_a_tensor_is_seen(file):
    data = bytearray(file.read_bytes())
    start = data.index(STATE["model"]["weight"].numpy().tobytes())
    for position in range(start, start + 600 * 4, 97):
        harmed = data.copy()
        harmed[position] ^= 1
        file.write_bytes(harmed)
        assert torch.load(file, weights_only=True) is not None  # torch takes it
        with pytest.raises(DamagedCheckpoint, match="good.pth is damaged"):
            read_checkpoint(file)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_damaged(file, share):
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DamagedCheckpoint):
        read_checkpoint(file)


def test_mutated_files_are_refused_or_right(file):
    data, rng = file.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        file.write_bytes(damage.mutate(data, rng))
        try:
            assert same(read_checkpoint(file))
        except CheckpointError:
            refused += 1
    # The rest hit padding, which holds nothing.
    assert refused > 200


def test_mutated_structures_with_right_checksums_are_refused_or_plain(file, tmp_path):
    rng = np.random.default_rng(1)
    for _ in range(300):
        target = tmp_path / "bad.pth"
        damage.repack(file, target, lambda name, data: damage.mutate(data, rng) if name.endswith(".pkl") else data)
        with contextlib.suppress(CheckpointError):
            assert isinstance(read_checkpoint(target)["model"], dict)


# pickletools decodes a mutated string with an escape that does not exist.
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_mutated_legacy_files_give_documented_errors_or_a_dict(tmp_path):
    path, rng = tmp_path / "old.pth", np.random.default_rng(2)
    torch.save(STATE, path, _use_new_zipfile_serialization=False)
    assert same(read_checkpoint(path))
    data = path.read_bytes()
    for _ in range(200):
        path.write_bytes(damage.mutate(data, rng))
        with contextlib.suppress(CheckpointError):
            assert isinstance(read_checkpoint(path)["model"], dict)


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


@pytest.mark.parametrize("kind", ["zip", "legacy", "pkl", "protocol4", "renamed"])
def test_code_is_refused_and_not_run(tmp_path, kind):
    marker, path = tmp_path / "ran", tmp_path / ("bad.pkl" if kind == "pkl" else "bad.pth")
    tree = {"model": {"weight": torch.ones(2)}, "evil": Evil(marker)}
    if kind in ("zip", "legacy"):
        torch.save(tree, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "protocol4":
        torch.save(tree, path, pickle_protocol=4)
    else:
        path.write_bytes(pickle.dumps(tree))
    with pytest.raises(UnsafeCheckpoint, match="refused.*If you trust where it came from, convert it once"):
        read_checkpoint(path)
    assert not marker.exists()


def test_refusal_names_what_the_file_wanted(tmp_path):
    torch.save({"model": Evil(tmp_path / "ran")}, tmp_path / "bad.pth")
    with pytest.raises(UnsafeCheckpoint, match=r"wants io\.open"):
        read_checkpoint(tmp_path / "bad.pth")


def test_pickles_of_detectron2_are_refused_with_the_remedy(tmp_path):
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"model": {"w": np.ones(2)}, "__author__": "x"}, protocol=2))
    with pytest.raises(UnsafeCheckpoint, match="torch.save"):
        read_checkpoint(tmp_path / "R-50.pkl")


@pytest.mark.parametrize(
    "tree",
    [
        {"model": {"w": torch.zeros(1).expand(10**12)}},
        {"model": {"w": torch.zeros(1).expand(2**20, 2**20)}},
        {"model": {f"w{i}": torch.zeros(1).expand(2**20 + i) for i in range(500)}},
    ],
)
def test_absurd_shapes_are_refused(tmp_path, tree):
    torch.save(tree, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match="far larger than the file"):
        read_checkpoint(tmp_path / "bad.pth")


def test_absurd_sizes_do_not_take_memory(file, tmp_path):
    # The shape (600,) of "weight" becomes (2**31 - 1,), over a storage of 600; a record unpacks to 100 MB from 100 kB.
    shape, bomb = tmp_path / "shape.pth", tmp_path / "bomb.pth"
    damage.repack(file, shape, lambda name, data: data.replace(b"M\x58\x02\x85", b"J\xff\xff\xff\x7f\x85"))
    damage.repack(file, bomb, lambda name, data: data + bytes(10**8) * name.endswith("data/0"), zipfile.ZIP_DEFLATED)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in (shape, bomb):
        with pytest.raises(CheckpointError):
            read_checkpoint(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 50_000  # KiB


def test_layouts_of_others_are_understood(tmp_path):
    weights = nn.Linear(2, 2).state_dict()
    for name, tree in {
        "bare": weights,
        "fvcore": {"model": weights},
        "lightning": {"state_dict": weights, "epoch": 3},
    }.items():
        torch.save(tree, tmp_path / name)
        read = read_checkpoint(tmp_path / name)
        assert torch.equal(read["model"]["weight"], weights["weight"]), name
    assert read["epoch"] == 3


@pytest.mark.parametrize("tree", [[1], {}, {"weights": 3}, torch.ones(2), {"model": 5}])
def test_files_without_weights_say_what_they_hold(tmp_path, tree):
    torch.save(tree, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="no weights"):
        read_checkpoint(tmp_path / "a.pth")


def test_missing_file_and_foreign_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="a.pth"):
        read_checkpoint(tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as archive:
        archive.writestr("x/readme", "hello")
    with pytest.raises(CheckpointError, match="not one of torch.save"):
        read_checkpoint(tmp_path / "b.pth")
    (tmp_path / "c.pth").write_text("<html>404</html>")
    with pytest.raises(DamagedCheckpoint, match="no checkpoint"):
        read_checkpoint(tmp_path / "c.pth")
