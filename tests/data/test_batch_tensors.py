from collections import OrderedDict, UserDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from steploop.data import move_batch, tensors_of

META = torch.device("meta")
Pair = namedtuple("Pair", "left right")


def ones():
    return torch.ones(2)


@dataclass(frozen=True)
class Boxes:
    tensor: torch.Tensor
    size: tuple = (1, 2)
    area: torch.Tensor = field(init=False, default_factory=ones)


class Instances:
    """As in detectron2: an object with a `to`."""

    def __init__(self, fields, device="cpu"):
        self.fields, self.device, self.parent = fields, device, self

    def to(self, device, non_blocking=False):
        return Instances({key: value.to(device) for key, value in self.fields.items()}, device)


BATCHES = {
    "dict": lambda: {"a": [ones(), "text"], "b": (ones(), None)},
    "named tuple": lambda: Pair(ones(), 3),
    "ordered": lambda: OrderedDict(b=ones(), a=ones()),
    "with a default": lambda: defaultdict(list, a=ones()),
    "user dict": lambda: UserDict(a=ones()),
    "read-only": lambda: MappingProxyType({"a": ones()}),
    "dataclass": lambda: Boxes(ones()),
    "object": lambda: [Instances({"boxes": ones(), "labels": ones()})],
    "packed": lambda: pack_sequence([torch.ones(3), torch.ones(2)]),
    "deep": lambda: {"targets": [Boxes(ones()), Pair([ones()], {"x": Instances({"y": ones()})})]},
}


@pytest.mark.parametrize("name", BATCHES)
def test_all_tensors_are_found_and_moved(name):
    batch = BATCHES[name]()
    before = list(tensors_of(batch))
    moved = move_batch(batch, META)
    after = list(tensors_of(moved))
    assert len(after) == len(before) > 0
    assert all(tensor.device == META for tensor in after if name != "packed" or tensor.dtype == torch.float32)
    assert all(tensor.device.type == "cpu" for tensor in tensors_of(batch)), "the given one stays as it is"
    assert type(moved) is (dict if name == "read-only" else type(batch))


def test_what_is_no_tensor_stays():
    moved = move_batch(BATCHES["dict"](), META)
    assert moved["a"][1] == "text" and moved["b"][1] is None
    assert list(move_batch(BATCHES["ordered"](), META)) == ["b", "a"]
    assert move_batch(BATCHES["with a default"](), META)["new"] == []
    assert move_batch(BATCHES["dataclass"](), META).size == (1, 2)
    assert move_batch([Boxes, int], META) == [Boxes, int]
    assert move_batch(Instances({"a": ones()}), META).device == META
