import logging

import pytest
import torch
from torch import nn

from steploop.modeling import load_pretrained


def make():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"model": weights, "epoch": 3},
        lambda weights: {"state_dict": weights},
        lambda weights: {f"module.{name}": value for name, value in weights.items()},
        lambda weights: {"model": {f"module.{name}": value for name, value in weights.items()}},
    ],
    ids=["bare", "model", "state_dict", "module.", "model, module."],
)
def test_the_usual_layouts_load(tmp_path, wrap, caplog):
    source, target = make(), make()
    torch.save(wrap(source.state_dict()), tmp_path / "w.pth")
    with caplog.at_level(logging.INFO, "steploop"):
        load_pretrained(target, tmp_path / "w.pth")
    assert same(source, target)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "7 of 7" in caplog.text


def test_what_does_not_fit_is_logged_and_the_rest_loaded(tmp_path, caplog):
    source, target = make(), make()
    weights = dict(source.state_dict())
    del weights["1.bias"], weights["1.num_batches_tracked"]  # files older than the latter entry lack it
    weights["1.weight"] = torch.zeros(9)
    weights["extra.weight"] = weights["fc.weight"] = torch.zeros(1)
    torch.save(weights, tmp_path / "w.pth")
    with caplog.at_level(logging.WARNING, "steploop"):
        load_pretrained(target, str(tmp_path / "w.pth"), ignore=("fc.",))
    assert torch.equal(source[0].weight, target[0].weight)
    missing, misshapen, left_over = caplog.messages
    assert "not in the file" in missing and missing.endswith(": 1.bias")
    assert "another shape" in misshapen and misshapen.endswith(": 1.weight")
    assert "in the file only" in left_over and left_over.endswith(": extra.weight")


def test_a_file_of_another_network_is_refused(tmp_path):
    torch.save({"blocks.0.w": torch.zeros(2, 3)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"nothing in .*w.pth fits Sequential.*blocks.0.w \(2, 3\).*0.weight"):
        load_pretrained(make(), tmp_path / "w.pth")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.pth"):
        load_pretrained(make(), tmp_path / "none.pth")


@pytest.mark.parametrize("content", [b"", b"not a weight file", b"PK\x03\x04 truncated"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        load_pretrained(make(), tmp_path / "w.pth")


def test_a_file_with_code_is_refused(tmp_path):
    torch.save({"model": make()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="more than tensors"):
        load_pretrained(make(), tmp_path / "w.pth")


def test_a_list_is_no_state_dict(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "w.pth")
    with pytest.raises(ValueError, match="found list"):
        load_pretrained(make(), tmp_path / "w.pth")
