import logging

import pytest
import torch
from torch import nn

from steploop.engine.checkpoint import load_weights, unwrap
from steploop.engine.checkpoint.weights import group_keys


def make(width=2):
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


def test_grouping():
    keys = [f"layer1.0.{bn}.{name}" for bn in ("bn1", "bn2") for name in ("weight", "bias")] + ["fc.weight", "scale"]
    assert group_keys(keys) == ["layer1.0.{bn1,bn2}.{bias,weight}", "fc.weight", "scale"]
    assert group_keys(f"layers.{i}.w" for i in (10, 9, 2)) == ["layers.{2,9,10}.w"]


def test_whole_state_loads_silently(caplog):
    source, target = make(), make()
    with caplog.at_level(logging.INFO):
        assert load_weights(target, source.state_dict()) == ([], [], [])
    assert not caplog.records
    assert torch.equal(target[0].weight, source[0].weight)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_dropped(prefix):
    source, target = make(), make()
    state = {prefix + key: value for key, value in source.state_dict().items()}
    assert not any(load_weights(target, state))
    assert torch.equal(target[0].weight, source[0].weight)


def test_wrapped_models_are_unwrapped():
    model = make()
    assert unwrap(nn.DataParallel(model)) is model
    assert not any(load_weights(nn.DataParallel(model), make().state_dict()))


def test_table_of_what_does_not_fit(caplog):
    state = make(3).state_dict()
    del state["1.num_batches_tracked"]
    state["head.weight"] = state["head.bias"] = torch.ones(1)
    state["0.weight"] = torch.zeros(2, 2)
    model = make()
    result = load_weights(model, state)
    assert result.missing_keys == ["1.num_batches_tracked"]
    assert sorted(result.unexpected_keys) == ["head.bias", "head.weight"]
    assert ("0.bias", (3,), (2,)) in result.incorrect_shapes
    assert torch.equal(model[0].weight, torch.zeros(2, 2))
    text = caplog.text
    assert "not in the file   1.num_batches_tracked" in text
    assert "head.{bias,weight}" in text
    assert "1.{bias,running_mean,running_var,weight}" in text


def test_tied_weights_under_one_name_are_not_missing():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    state = model.state_dict()
    del state["1.weight"]
    assert not any(load_weights(model, state))


def test_nothing_that_fits_is_an_error():
    with pytest.raises(ValueError, match="not one name.*backbone.weight.*0.weight"):
        load_weights(make(), {"backbone.weight": torch.ones(2)})


def test_values_and_names_must_be_right():
    with pytest.raises(ValueError, match="0.weight should be a tensor"):
        load_weights(make(), {"0.weight": [1.0]})
    with pytest.raises(ValueError, match="must be str"):
        load_weights(make(), {0: torch.ones(2)})
