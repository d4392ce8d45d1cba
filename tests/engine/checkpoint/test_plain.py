from collections import Counter, OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from torch import nn

from steploop.engine.checkpoint import read_checkpoint, to_plain, write_checkpoint


def test_numpy_and_dict_kinds_become_plain():
    tree = {
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": np.bool_(True),
        "d": np.arange(3),
        "e": OrderedDict(x=1),
        "f": Counter("aab"),
        "g": (1, [2.0, None, "s", b"s"]),
        "h": torch.Size([2, 3]),
        "i": nn.Parameter(torch.ones(2)),
    }
    plain = to_plain(tree)
    assert type(plain["a"]) is float and type(plain["b"]) is int and plain["c"] is True
    assert torch.equal(plain["d"], torch.arange(3))
    assert type(plain["e"]) is dict and plain["f"] == {"a": 2, "b": 1} and type(plain["f"]) is dict
    assert plain["g"] == (1, [2.0, None, "s", b"s"])
    assert type(plain["h"]) is tuple
    assert type(plain["i"]) is torch.Tensor and not plain["i"].requires_grad


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        object(),
        len,
        torch.float32,
        namedtuple("Point", "x")(1),
        np.array(["text"]),
        np.array([1.0], dtype=">f4"),
        np.datetime64("2020-01-01"),
        torch.eye(2).to_sparse(),
        torch.empty(2, device="meta"),
        1 << 5000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_named_by_its_path(value):
    with pytest.raises(TypeError, match=r"checkpoint\.hooks\.best\[1\] "):
        to_plain({"hooks": {"best": [0, value]}})


def test_keys_are_checked_too():
    with pytest.raises(TypeError, match="the key .* of checkpoint.a"):
        to_plain({"a": {frozenset([1]): 2}})


def test_cycles_and_depth_are_named():
    loop: list = []
    loop.append({"again": loop})
    with pytest.raises(ValueError, match=r"checkpoint\[0\].again contains itself"):
        to_plain(loop)
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match="more than 100 levels"):
        to_plain(deep)


def test_sharing_many_times_costs_nothing():
    tree: list = [1]
    for _ in range(60):
        tree = [tree, tree]
    plain = to_plain(tree)
    assert plain[0] is plain[1]


def test_state_does_not_follow_later_changes_of_containers():
    inner = [1]
    plain = to_plain({"a": inner})
    inner.append(2)
    assert plain == {"a": [1]}


def test_metadata_of_modules_survives(tmp_path):
    write_checkpoint(tmp_path / "a.pth", to_plain({"model": nn.BatchNorm1d(2).state_dict()}))
    assert read_checkpoint(tmp_path / "a.pth")["model"]._metadata[""] == {"version": 2}


def test_bits_survive(tmp_path):
    bits = torch.randint(-(2**31), 2**31 - 1, (1000,), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    state = {
        "model": {"nan": bits.view(torch.float32), "half": bits.view(torch.float16), "bf16": bits.view(torch.bfloat16)},
        "numbers": [float("inf"), -0.0, 2**1999, -(2**70), True, None, "\ud800 é", b"\x00\xff", {1: (), None: [()]}],
    }
    write_checkpoint(tmp_path / "a.pth", to_plain(state))
    read = read_checkpoint(tmp_path / "a.pth")
    for name, tensor in state["model"].items():
        assert read["model"][name].dtype == tensor.dtype
        assert torch.equal(read["model"][name].view(torch.int16), tensor.view(torch.int16)), name
    assert repr(read["numbers"]) == repr(state["numbers"])


def test_ties_stay_and_views_do_not_bring_their_storage(tmp_path):
    weight, big = torch.randn(1000), torch.randn(1_000_000)
    tree = {"model": {"a": weight, "b": weight, "slice": big[:10], "wide": torch.ones(1, 1).expand(1000, 1000)}}
    write_checkpoint(tmp_path / "a.pth", to_plain({"model": tree["model"] | {"c": big[:10]}}))
    assert (tmp_path / "a.pth").stat().st_size < 4_100_000
    read = read_checkpoint(tmp_path / "a.pth")["model"]
    assert read["a"].data_ptr() == read["b"].data_ptr()
    assert read["slice"].data_ptr() == read["c"].data_ptr()
    assert all(torch.equal(read[name], tensor) for name, tensor in tree["model"].items())
