import logging

import pytest
import torch
from torch import nn

from steploop.engine.checkpoint import load_weights, unwrap
from steploop.engine.checkpoint.loaded_weights import LoadedWeights, group_keys


def make(width=2):
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


def test_grouping():
    keys = [f"layer1.0.{bn}.{name}" for bn in ("bn1", "bn2") for name in ("weight", "bias")] + ["fc.weight", "scale"]
    assert group_keys(keys) == ["layer1.0.{bn1,bn2}.{bias,weight}", "fc.weight", "scale"]
    assert group_keys(f"layers.{i}.w" for i in (10, 9, 2)) == ["layers.{2,9,10}.w"]


def test_a_whole_state_is_one_line_in_the_log(caplog):
    source, target = make(), make()
    with caplog.at_level(logging.INFO):
        report = load_weights(target, source.state_dict(), source="w.pth")
    names = ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"]
    assert report == LoadedWeights(names, [], [], [], [])
    assert report.is_exact and report.share == 1.0
    assert caplog.messages == ["Loaded 6 of 6 weights (100 %) from w.pth"]
    assert torch.equal(target[0].weight, source[0].weight)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "module.module."])
def test_prefixes_of_wrappers_are_dropped(prefix):
    source, target = make(), make()
    state = {prefix + key: value for key, value in source.state_dict().items()}
    assert load_weights(target, state).is_exact
    assert torch.equal(target[0].weight, source[0].weight)


def test_wrapped_models_are_unwrapped():
    model = make()
    assert unwrap(nn.DataParallel(model)) is model
    assert load_weights(nn.DataParallel(model), make().state_dict()).is_exact


def test_a_part_that_is_compiled_loads_and_is_loaded():
    def compiled():
        model = make()
        model[1] = torch.compile(model[1], backend="eager")
        return model

    for source, target in ((compiled(), make()), (make(), compiled()), (compiled(), compiled())):
        nn.init.constant_(source.get_parameter(next(n for n, _ in source.named_parameters() if n[0] == "1")), 7.0)
        state = source.state_dict()
        assert load_weights(target, state).is_exact
        assert all(torch.equal(a, b) for a, b in zip(state.values(), target.state_dict().values()))


def test_versions_of_modules_follow_their_names():
    # BatchNorm of version 1 had no counter; torch asks _metadata before it misses one.
    seen = {}

    class Versioned(nn.Linear):
        _version = 3

        def _load_from_state_dict(self, state, prefix, local_metadata, *args):
            seen[prefix] = local_metadata.get("version")
            super()._load_from_state_dict(state, prefix, local_metadata, *args)

    def compiled():
        return nn.Sequential(torch.compile(Versioned(2, 2), backend="eager"))

    for source in (nn.Sequential(Versioned(2, 2)), nn.DataParallel(nn.Sequential(Versioned(2, 2))), compiled()):
        for target in (nn.Sequential(Versioned(2, 2)), compiled()):
            load_weights(target, source.state_dict())
            assert list(seen.values()) == [3]
            seen.clear()


def test_a_model_whose_own_names_begin_as_those_of_a_wrapper():
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = make()

    source = Holder()
    for state in (source.state_dict(), source.module.state_dict()):
        target = Holder()
        assert load_weights(target, state).is_exact
        assert torch.equal(target.module[0].weight, source.module[0].weight)


def test_two_names_for_one_weight_are_an_error():
    weight = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="has 0.weight twice, once of them as 0._orig_mod.weight"):
        load_weights(make(), {"0.weight": weight, "0._orig_mod.weight": weight})


def test_table_of_what_does_not_fit(caplog):
    state = make(3).state_dict()
    del state["1.num_batches_tracked"]
    state["head.weight"] = state["head.bias"] = torch.ones(1)
    state["0.weight"] = torch.zeros(2, 2)
    model = make()
    caplog.set_level(logging.INFO)
    result = load_weights(model, state)
    assert result.missing_keys == []  # a counter is nothing that is missed
    assert sorted(result.unexpected_keys) == ["head.bias", "head.weight"]
    assert ("0.bias", (3,), (2,)) in result.incorrect_shapes
    assert torch.equal(model[0].weight, torch.zeros(2, 2))
    assert (result.loaded, result.share) == (["0.weight"], 1 / 6)
    text = caplog.text
    assert "head.{bias,weight}" in text
    assert "1.{bias,running_mean,running_var,weight}" in text
    assert "Loaded 1 of 6 weights (16 %)" in text


def test_tied_weights_under_one_name_are_not_missing():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    state = model.state_dict()
    del state["1.weight"]
    report = load_weights(model, state)
    assert report.is_exact and report.share == 1.0


def test_nothing_that_fits_is_an_error():
    with pytest.raises(ValueError, match="have not one name in common.*backbone.weight.*0.weight"):
        load_weights(make(), {"backbone.weight": torch.ones(2)})


def test_counters_alone_are_nothing_that_fits():
    deep = nn.Sequential(*(make(3) for _ in range(4)))
    with pytest.raises(ValueError, match=r"too little in common.*Loaded 0 of 24 weights \(0 %\)"):
        load_weights(nn.Sequential(*(make(5) for _ in range(4))), deep.state_dict(), minimum_share=0.1)


def test_below_the_stated_share_is_an_error():
    state = {name: value for name, value in make().state_dict().items() if name.startswith("0.")}
    assert load_weights(make(), state, minimum_share=0.33).loaded == ["0.weight", "0.bias"]
    with pytest.raises(ValueError, match=r"Sequential and w.pth.*2 of 6 weights \(33 %\), at least 50% are.*SHARE"):
        load_weights(make(), state, minimum_share=0.5, source="w.pth")


def test_ignored_names_are_not_reported(caplog):
    state = {**make().state_dict(), "fc.weight": torch.ones(1), "fcs": torch.ones(1)}
    assert load_weights(make(), state, ignore=("fc.",)).unexpected_keys == ["fcs"]


def test_converted_names_are_counted(caplog):
    caplog.set_level(logging.INFO)
    state = {name.replace("0.", "first."): value for name, value in make().state_dict().items()}

    def convert(found, expected):
        assert "0.weight" in expected and "first.weight" in found
        return {name.replace("first.", "0."): value for name, value in found.items()}

    report = load_weights(make(), state, convert=convert)
    assert report.is_exact and report.converted == ["0.weight", "0.bias"]
    assert "Loaded 6 of 6 weights (100 %), 2 under converted names" in caplog.text


def test_values_and_names_must_be_right():
    with pytest.raises(ValueError, match="0.weight should be a tensor"):
        load_weights(make(), {"0.weight": [1.0]})
    with pytest.raises(ValueError, match="must be str"):
        load_weights(make(), {0: torch.ones(2)})
