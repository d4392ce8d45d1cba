import ast

import pytest
import torch

from detection_golden import close, figures, recipe_weights
from steploop.modeling.backbones.fpn import FPN


@pytest.mark.parametrize("number", range(7))
def test_golden(number):
    gold = figures("data")
    name, _, text = str(gold["fpn_configs"][number]).partition(": ")
    options = ast.literal_eval(text)
    options["extra_convs"] = options.pop("add_extra_convs", "")
    stages = [torch.from_numpy(gold[f"fpn_in{i}"]) for i in range(4)]
    pyramid = FPN([stage.shape[1] for stage in stages], 6, **options)
    entries = pyramid.state_dict()
    assert [f"{key} {tuple(value.shape)}" for key, value in entries.items()] == gold[f"fpn_{name}_names"].tolist()
    pyramid.load_state_dict(recipe_weights(entries))
    levels = pyramid(stages)
    assert len(levels) == options["num_outs"]
    for i, level in enumerate(levels):
        close(level, gold[f"fpn_{name}_out{i}"])


def test_norm_and_mistakes():
    pyramid = FPN([4, 8], 6, 2, norm="GN")
    assert pyramid.lateral_convs[0].conv.bias is None
    levels = pyramid([torch.zeros(1, 4, 5, 5), torch.zeros(1, 8, 3, 3)])
    assert [level.shape[1:] for level in levels] == [(6, 5, 5), (6, 3, 3)]
    with pytest.raises(ValueError, match="num_outs is 1"):
        FPN([4, 8], 6, 1)
    with pytest.raises(ValueError, match="at least 1 levels"):
        FPN([4, 8], 6, 2, start_level=2)
    with pytest.raises(ValueError, match="on_lateral"):
        FPN([4, 8], 6, 3, extra_convs="on_stage")
