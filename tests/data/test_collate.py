import numpy as np
import pytest
import torch

from steploop.data import collate


def test_tensors_integers_and_strings():
    batch = collate([{"x": torch.ones(2), "n": 1, "s": "a"}, {"x": torch.zeros(2), "n": np.int32(2), "s": "b"}])
    assert torch.equal(batch["x"], torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    assert torch.equal(batch["n"], torch.tensor([1, 2])) and batch["n"].dtype == torch.int64
    assert batch["s"] == ["a", "b"]


@pytest.mark.parametrize(
    "samples, error, message",
    [
        ([], ValueError, "at least one sample"),
        ([{"a": 1}, {"b": 1}], ValueError, r"differ in their keys: \['a'\] and \['b'\]"),
        ([{"a": torch.ones(1)}, {"a": torch.ones(2)}], ValueError, "'a' differ in shape"),
        # One process would widen them, and a worker would cut them to the first one's type, or fail.
        ([{"a": torch.ones(1)}, {"a": torch.ones(1).double()}], ValueError, "'a' differ in .*float32.*float64"),
        ([{"a": None}], TypeError, "'a'.*NoneType"),
        ([{"a": np.ones(2)}], TypeError, "'a'.*ndarray"),
        ([{"a": 1}, {"a": "x"}], TypeError, r"\['int', 'str'\].*ragged=\('a',\)"),
        # Silently made floats, a batch that happens to hold whole numbers only would be one of integers.
        ([{"a": 1}, {"a": 2.5}], TypeError, r"\['float', 'int'\]"),
        ([{"a": torch.ones(1)}, {"a": torch.ones(2)}], ValueError, r"ragged=\('a',\) keeps them"),
    ],
)
def test_what_makes_no_batch_is_named(samples, error, message):
    with pytest.raises(error, match=message):
        collate(samples)


def test_floats_become_a_tensor():
    batch = collate([{"depth": 1.5}, {"depth": np.float64(2)}])
    assert torch.equal(batch["depth"], torch.tensor([1.5, 2.0])) and batch["depth"].dtype == torch.float32


def test_ragged_keys_stay_lists():
    boxes = [torch.ones(2, 4), torch.ones(0, 4)]
    samples = [{"boxes": box, "meta": {"flip": True}, "id": n} for n, box in enumerate(boxes)]
    batch = collate(samples, ragged=("boxes", "meta", "masks"))
    assert batch["boxes"] == boxes and batch["meta"] == [{"flip": True}, {"flip": True}]
    assert batch["id"].tolist() == [0, 1]
    with pytest.raises(TypeError, match=r"write ragged=\('boxes',\)"):
        collate(samples, ragged="boxes")
