import numpy as np
import pytest
import torch

from golden_reid import MODELS, fill, golden_cfg, golden_images
from shared_files import shared
from steploop.modeling import META_ARCH_REGISTRY, build_model

RECORDED = {
    "golden/AGW_R50": ("AGW_R50", ""),
    "golden/sbs_R50": ("sbs_R50", ""),
    "golden/reid_extra/AGW_R101-ibn": ("AGW_R101-ibn", "extra"),
    "golden/reid_extra/AGW_S50": ("AGW_S50", "extra"),
    "golden/reid_extra/sbs_R101-ibn": ("sbs_R101-ibn", "extra"),
    "golden/reid_extra/sbs_S50": ("sbs_S50", "extra"),
}


@pytest.mark.parametrize("name", MODELS)
def test_published_checkpoints_fit(name):
    lines = shared(f"golden/state_dicts/{name}.txt").read_text().splitlines()
    cfg = golden_cfg(**MODELS[name])
    with torch.device("meta"):
        state = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg).state_dict()
    assert [f"{entry} {tuple(value.shape)}" for entry, value in state.items()] == lines


def check(file, options, salt):
    with np.load(shared(f"{file}.npz")) as recorded:
        golden = {key: torch.from_numpy(recorded[key]) for key in recorded}
    cfg = golden_cfg(**options)
    model = build_model(cfg)
    fill(model, salt)
    images = golden_images(tuple(cfg.INPUT.SIZE_TEST), salt)
    with torch.no_grad():
        features = model.eval()({"images": images})
        losses, _ = model.train()({"images": images, "targets": torch.tensor([0, 0, 1, 1])})
    assert {"features", *losses} == set(golden)
    for key, actual in {"features": features, **losses}.items():
        assert (actual - golden[key]).abs().max() <= 1e-4 * golden[key].abs().max(), key


@pytest.mark.parametrize("file", RECORDED)
def test_features_and_losses_are_golden(file):
    name, salt = RECORDED[file]
    check(file, MODELS[name], salt)


def test_the_memory_of_moco_is_golden():
    check("golden/reid_extra/moco_R50", {"MODEL__META_ARCHITECTURE": "MoCo"}, "extra")
