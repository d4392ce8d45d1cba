import pytest
import torch

from steploop.config.device import device_of, resolve_device


@pytest.fixture
def gpus(monkeypatch):
    def have(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return have


def test_without_a_gpu(gpus):
    gpus(0)
    assert resolve_device("auto") == resolve_device("cpu") == resolve_device("cpu", 8) == torch.device("cpu")
    with pytest.raises(ValueError, match="'cuda' was asked for, but PyTorch finds no GPU"):
        resolve_device("cuda")
    with pytest.raises(ValueError, match="2 processes on GPUs were asked for, but PyTorch finds no GPU"):
        resolve_device("auto", 2)


def test_with_gpus(gpus):
    gpus(2)
    assert resolve_device("auto") == resolve_device("cuda") == resolve_device("auto", 2) == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="'cuda:2' was asked for, but PyTorch finds 2 GPUs"):
        resolve_device("cuda:2")
    with pytest.raises(ValueError, match="3 processes on GPUs were asked for, but PyTorch finds 2 GPUs"):
        resolve_device("cuda", 3)
    with pytest.raises(ValueError, match="with 'cuda' each takes its own"):
        resolve_device("cuda:0", 2)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:0", "auto:1", ""])
def test_other_names(name):
    with pytest.raises(ValueError, match=f"got {name!r}"):
        resolve_device(name)


def test_the_device_of_a_model():
    assert device_of(torch.nn.Linear(1, 1, device="meta")) == torch.device("meta")
    assert device_of(torch.nn.ReLU()) == torch.device("cpu")
