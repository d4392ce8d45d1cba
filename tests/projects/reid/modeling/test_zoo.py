import ast

import pytest
import torch

from golden_reid import MODELS, golden_cfg
from shared_files import shared
from steploop.engine.checkpoint import load_weights
from steploop.modeling import META_ARCH_REGISTRY
from steploop.modeling.layers.pooling import GeneralizedMeanPooling, GlobalAvgPool
from steploop.projects.reid.modeling.zoo import convert_reid, number_of_classes

OLD = [
    *("AGW_R101-ibn", "AGW_R50-ibn", "AGW_R50", "bagtricks_R101-ibn", "bagtricks_R50-ibn", "bagtricks_R50"),
    *("sbs_R101-ibn", "sbs_R50-ibn", "sbs_R50"),
]


def old_file(name):
    lines = shared(f"golden/reid_extra/zoo_names/v0.1.1/Market1501_{name}.txt").read_text().splitlines()
    entries = (line.partition(" ") for line in lines)
    return {entry: torch.empty(ast.literal_eval(shape), device="meta") for entry, _, shape in entries}


def names_of(name):
    cfg = golden_cfg(**MODELS[name])
    with torch.device("meta"):
        return META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg).state_dict()


@pytest.mark.parametrize("name", OLD)
def test_files_of_2020_fit_whole(name):
    expected = names_of(name)
    converted = convert_reid(old_file(name), expected)
    left = converted.keys() - expected.keys()
    assert expected.keys() <= converted.keys()
    assert left <= {"heads.pool_layer.p"}, left
    assert all(converted[entry].shape == value.shape for entry, value in expected.items())


@pytest.mark.parametrize("name", ["bagtricks_R50", "sbs_S50", "mgn_R50-ibn", "bagtricks_vit"])
def test_files_of_today_fit_as_they_are(name):
    expected = names_of(name)
    assert convert_reid(dict(expected), expected).keys() == expected.keys()


def test_the_files_of_2021_have_parts_of_both():
    expected = names_of("bagtricks_R50-ibn")
    state = {entry.replace("heads.weight", "heads.classifier.weight"): value for entry, value in expected.items()}
    state |= {"pixel_mean": torch.zeros(1, 3, 1, 1), "heads.bnneck.num_batches_tracked": torch.tensor(3)}
    assert convert_reid(state, expected).keys() == expected.keys()


def test_an_mgn_of_2020_is_refused():
    with pytest.raises(ValueError, match="a normalisation and a ReLU between the pooling and each head"):
        convert_reid(old_file("mgn_R50-ibn"), names_of("mgn_R50-ibn"))


class Pooled(torch.nn.Module):
    def __init__(self, pool_layer):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.pool_layer = pool_layer


def test_a_learned_exponent_goes_into_a_fixed_pooling():
    state = {**Pooled(GlobalAvgPool()).state_dict(), "pool_layer.p": torch.tensor([4.5])}
    model = Pooled(GeneralizedMeanPooling())
    assert load_weights(model, state).is_exact
    assert model.pool_layer.p.item() == 4.5
    assert load_weights(Pooled(GlobalAvgPool()), state).unexpected_keys == ["pool_layer.p"]


def test_the_number_of_identities():
    assert number_of_classes(old_file("mgn_R50-ibn")) == number_of_classes(old_file("AGW_R50")) == 751
    assert number_of_classes({"x": torch.zeros(3)}) is None
