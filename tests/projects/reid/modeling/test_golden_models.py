import numpy as np
import pytest
import torch

from golden_reid import fill, golden_cfg, golden_images
from shared_files import shared
from steploop.modeling import META_ARCH_REGISTRY, build_model

AGW = {
    "MODEL__BACKBONE__WITH_NL": True,
    "MODEL__HEADS__POOL_LAYER": "GeneralizedMeanPooling",
    "MODEL__LOSSES__TRI__MARGIN": 0.0,
    "MODEL__LOSSES__TRI__HARD_MINING": False,
}
SBS = {
    "MODEL__BACKBONE__WITH_NL": True,
    "MODEL__HEADS__NECK_FEAT": "after",
    "MODEL__HEADS__POOL_LAYER": "GeneralizedMeanPoolingP",
    "MODEL__HEADS__CLS_LAYER": "CircleSoftmax",
    "MODEL__HEADS__SCALE": 64.0,
    "MODEL__HEADS__MARGIN": 0.35,
    "MODEL__LOSSES__TRI__MARGIN": 0.0,
    "INPUT__SIZE_TEST": [384, 128],
}
IBN = {"MODEL__BACKBONE__WITH_IBN": True}
R101 = {"MODEL__BACKBONE__DEPTH": "101x", **IBN}
S50 = {"MODEL__BACKBONE__NAME": "build_resnest_backbone", "MODEL__BACKBONE__DEPTH": "50x"}
MODELS = {
    "bagtricks_R50": {},
    "bagtricks_R50-ibn": IBN,
    "bagtricks_R101-ibn": R101,
    "bagtricks_S50": S50,
    "bagtricks_vit": {
        "MODEL__BACKBONE__NAME": "build_vit_backbone",
        "MODEL__BACKBONE__DEPTH": "base",
        "MODEL__HEADS__POOL_LAYER": "Identity",
    },
    "AGW_R50": AGW,
    "AGW_R50-ibn": {**AGW, **IBN},
    "AGW_R101-ibn": {**AGW, **R101},
    "AGW_S50": {**AGW, **S50},
    "sbs_R50": SBS,
    "sbs_R50-ibn": {**SBS, **IBN},
    "sbs_R101-ibn": {**SBS, **R101},
    "sbs_S50": {**SBS, **S50},
    "mgn_R50-ibn": {
        **SBS,
        **IBN,
        "MODEL__META_ARCHITECTURE": "MGN",
        "MODEL__BACKBONE__WITH_NL": False,
        "MODEL__HEADS__EMBEDDING_DIM": 256,
    },
}
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
