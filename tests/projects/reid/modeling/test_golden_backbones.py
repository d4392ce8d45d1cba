"""46 backbones, in float64: features of such weights differ by 1e-9 of their size between images."""

import numpy as np
import pytest
import torch

from golden_reid import fill, golden_cfg, golden_images
from shared_files import SHARED, shared
from steploop.modeling import build_model
from steploop.projects.reid.modeling import Baseline

FOLDER = SHARED / "golden/reid_extra"
FILE = FOLDER / "backbones.npz"
NAMES = list(np.load(FILE)) if FILE.exists() else ["resnet/18x"]


def config(name):
    builder, depth, *flags = name.split("/")
    options = {f"MODEL__BACKBONE__WITH_{flag.upper()}": True for flag in flags}
    if builder == "vit":
        options["MODEL__HEADS__POOL_LAYER"] = "Identity"
    return golden_cfg(MODEL__BACKBONE__NAME=f"build_{builder}_backbone", MODEL__BACKBONE__DEPTH=depth, **options)


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes(name):
    lines = shared(f"golden/reid_extra/backbone_names/{name.replace('/', '_')}.txt").read_text().splitlines()
    with torch.device("meta"):
        state = Baseline(config(name)).state_dict()
    assert [f"{entry} {tuple(value.shape)}" for entry, value in state.items()] == lines


@pytest.mark.parametrize("name", NAMES)
def test_features(name):
    with np.load(shared("golden/reid_extra/backbones.npz")) as recorded:
        golden = torch.from_numpy(recorded[name])
    model = build_model(config(name))
    fill(model, "extra")
    images = golden_images((256, 128), "extra").double()
    with torch.no_grad():
        features = model.double().eval()({"images": images})
    # Relative to the part of a feature that depends on the image, which is as small as 1e-9 of it. The images are
    # interpolated in float32, whose last bit depends on the number of threads.
    dependent = (golden - golden.mean(dim=0)).abs().max()
    assert (features - golden).abs().max() <= 1e-4 * dependent
