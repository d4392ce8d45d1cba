import pytest
import torch

from steploop.engine.metrics.pending import PendingTensors


def test_values_come_back_with_their_iterations_in_float64():
    pending = PendingTensors()
    pending.put("a", torch.tensor(0.1), 3)
    pending.put("b", torch.tensor(0.1, dtype=torch.float64), 3)
    pending.put("a", torch.tensor([2]), 4)
    assert pending.read() == {"a": [(torch.tensor(0.1).item(), 3), (2.0, 4)], "b": [(0.1, 3)]}
    assert not len(pending)
    assert pending.read() == {}


def test_a_later_change_of_the_tensor_does_not_reach_what_was_put():
    pending = PendingTensors()
    value = torch.tensor(1.0)
    pending.put("a", value, 0)
    value.fill_(7)
    assert pending.read() == {"a": [(1.0, 0)]}


def test_no_graph_is_kept():
    pending = PendingTensors()
    weight = torch.ones((), requires_grad=True)
    pending.put("a", weight * 2, 0)
    assert not pending._rows["a"].buffer.requires_grad


def test_a_full_row_says_so():
    pending = PendingTensors(length=2)
    pending.put("a", torch.tensor(1.0), 0)
    assert not pending.is_full("a")
    pending.put("a", torch.tensor(1.0), 1)
    assert pending.is_full("a")
    with pytest.raises(ValueError, match="read them first"):
        pending.put("a", torch.tensor(1.0), 2)


def test_several_elements_are_an_error():
    with pytest.raises(ValueError, match="'a' came with shape"):
        PendingTensors().put("a", torch.ones(2), 0)
