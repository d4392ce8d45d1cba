from collections import OrderedDict, namedtuple

import torch

from steploop.config import CfgNode
from steploop.config.nested import dotted_names, leaves, map_tensors

Pair = namedtuple("Pair", "left right")


def test_leaves_have_the_keys_on_their_way():
    tree = CfgNode({"A": 1, "B": {"C": [2], "D": {"E": None}, "EMPTY": {}}})
    assert list(leaves(tree)) == [("A", 1), ("B.C", [2]), ("B.D.E", None)]
    assert dict(leaves({"a": {"b": {1: 2}}}, "/")) == {"a/b/1": 2}


def test_dotted_names_are_those_of_sections_too():
    assert dotted_names({"A": 1, "B": {"C": {"D": 2}, "E": {}}}) == ["A", "B", "B.C", "B.C.D", "B.E"]


def test_tensors_are_found_at_any_depth():
    batch = {"a": [torch.ones(1), "text"], "b": (Pair(torch.ones(2), 3), None), "c": {"d": torch.ones(3)}}
    mapped = map_tensors(lambda tensor: -tensor, batch)
    assert torch.equal(mapped["a"][0], -torch.ones(1)) and mapped["a"][1] == "text"
    assert isinstance(mapped["b"][0], Pair) and torch.equal(mapped["b"][0].left, -torch.ones(2))
    assert mapped["b"][0].right == 3 and mapped["b"][1] is None
    assert torch.equal(mapped["c"]["d"], -torch.ones(3))


def test_a_state_dict_keeps_the_versions_of_its_modules():
    state = torch.nn.BatchNorm1d(2).state_dict()
    mapped = map_tensors(lambda tensor: tensor, state)
    assert isinstance(mapped, OrderedDict) and mapped is not state
    assert mapped._metadata == state._metadata
