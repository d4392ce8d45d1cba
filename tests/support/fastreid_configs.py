"""Config files in fast-reid's dialect, with the keys and values of its 47 published ones."""

from pathlib import Path
from typing import Any

import yaml

_BAGTRICKS: dict[str, Any] = {
    "MODEL": {
        "META_ARCHITECTURE": "Baseline",
        "BACKBONE": {
            "NAME": "build_resnet_backbone",
            "NORM": "BN",
            "DEPTH": "50x",
            "LAST_STRIDE": 1,
            "FEAT_DIM": 2048,
            "WITH_IBN": False,
            "PRETRAIN": True,
        },
        "HEADS": {
            "NAME": "EmbeddingHead",
            "NORM": "BN",
            "WITH_BNNECK": True,
            "POOL_LAYER": "GlobalAvgPool",
            "NECK_FEAT": "before",
            "CLS_LAYER": "Linear",
        },
        "LOSSES": {
            "NAME": "('CrossEntropyLoss', 'TripletLoss',)",
            "CE": {"EPSILON": 0.1, "SCALE": 1.0},
            "TRI": {"MARGIN": 0.3, "HARD_MINING": True, "NORM_FEAT": False, "SCALE": 1.0},
        },
    },
    "INPUT": {
        "SIZE_TRAIN": [256, 128],
        "SIZE_TEST": [256, 128],
        "REA": {"ENABLED": True, "PROB": 0.5},
        "FLIP": {"ENABLED": True},
        "PADDING": {"ENABLED": True},
    },
    "DATALOADER": {"SAMPLER_TRAIN": "NaiveIdentitySampler", "NUM_INSTANCE": 4, "NUM_WORKERS": 8},
    "SOLVER": {
        "AMP": {"ENABLED": True},
        "OPT": "Adam",
        "MAX_EPOCH": 120,
        "BASE_LR": 0.00035,
        "WEIGHT_DECAY": 0.0005,
        "WEIGHT_DECAY_NORM": 0.0005,
        "IMS_PER_BATCH": 64,
        "SCHED": "MultiStepLR",
        "STEPS": [40, 90],
        "GAMMA": 0.1,
        "WARMUP_FACTOR": 0.1,
        "WARMUP_ITERS": 2000,
        "CHECKPOINT_PERIOD": 30,
    },
    "TEST": {"EVAL_PERIOD": 30, "IMS_PER_BATCH": 128},
    "CUDNN_BENCHMARK": True,
}
_AGW: dict[str, Any] = {
    "_BASE_": "Base-bagtricks.yml",
    "MODEL": {
        "BACKBONE": {"WITH_NL": True},
        "HEADS": {"POOL_LAYER": "GeneralizedMeanPooling"},
        "LOSSES": {
            "NAME": "('CrossEntropyLoss', 'TripletLoss')",
            "CE": {"EPSILON": 0.1, "SCALE": 1.0},
            "TRI": {"MARGIN": 0.0, "HARD_MINING": False},
        },
    },
}
_SBS: dict[str, Any] = {
    "_BASE_": "Base-bagtricks.yml",
    "MODEL": {
        "FREEZE_LAYERS": ["backbone"],
        "BACKBONE": {"WITH_NL": True},
        "HEADS": {
            "NECK_FEAT": "after",
            "POOL_LAYER": "GeneralizedMeanPoolingP",
            "CLS_LAYER": "CircleSoftmax",
            "SCALE": 64,
            "MARGIN": 0.35,
        },
        "LOSSES": {
            "NAME": "('CrossEntropyLoss', 'TripletLoss',)",
            "CE": {"EPSILON": 0.1, "SCALE": 1.0},
            "TRI": {"MARGIN": 0.0, "HARD_MINING": True, "NORM_FEAT": False, "SCALE": 1.0},
        },
    },
    "INPUT": {"SIZE_TRAIN": [384, 128], "SIZE_TEST": [384, 128], "AUTOAUG": {"ENABLED": True, "PROB": 0.1}},
    "DATALOADER": {"NUM_INSTANCE": 16},
    "SOLVER": {
        "AMP": {"ENABLED": True},
        "OPT": "Adam",
        "MAX_EPOCH": 60,
        "BASE_LR": 0.00035,
        "WEIGHT_DECAY": 0.0005,
        "IMS_PER_BATCH": 64,
        "SCHED": "CosineAnnealingLR",
        "DELAY_EPOCHS": 30,
        "ETA_MIN_LR": 0.0000007,
        "WARMUP_FACTOR": 0.1,
        "WARMUP_ITERS": 2000,
        "FREEZE_ITERS": 1000,
        "CHECKPOINT_PERIOD": 20,
    },
    "TEST": {"EVAL_PERIOD": 10, "IMS_PER_BATCH": 128},
    "CUDNN_BENCHMARK": True,
}
_MGN: dict[str, Any] = {
    "_BASE_": "Base-SBS.yml",
    "MODEL": {
        "META_ARCHITECTURE": "MGN",
        "FREEZE_LAYERS": ["backbone", "b1", "b2", "b3"],
        "BACKBONE": {"WITH_NL": False},
        "HEADS": {"EMBEDDING_DIM": 256},
    },
}
BASES = {"Base-bagtricks.yml": _BAGTRICKS, "Base-AGW.yml": _AGW, "Base-SBS.yml": _SBS, "Base-MGN.yml": _MGN}
_BASE_OF = {"bagtricks": "Base-bagtricks.yml", "AGW": "Base-AGW.yml", "sbs": "Base-SBS.yml", "mgn": "Base-MGN.yml"}
_BACKBONES: dict[str, dict[str, Any]] = {
    "R50": {},
    "R50-ibn": {"WITH_IBN": True},
    "R101-ibn": {"DEPTH": "101x", "WITH_IBN": True},
    "S50": {"NAME": "build_resnest_backbone"},
}
_VIT: dict[str, Any] = {
    "_BASE_": "../Base-bagtricks.yml",
    "MODEL": {
        "BACKBONE": {
            "NAME": "build_vit_backbone",
            "DEPTH": "base",
            "FEAT_DIM": 768,
            "PRETRAIN": True,
            "PRETRAIN_PATH": "/export/home/lxy/.cache/torch/checkpoints/jx_vit_base_p16_224-80ecf9dd.pth",
            "STRIDE_SIZE": "(16, 16)",
            "DROP_PATH_RATIO": 0.1,
            "DROP_RATIO": 0.0,
            "ATT_DROP_RATE": 0.0,
        },
        "HEADS": {"POOL_LAYER": "Identity"},
    },
    "SOLVER": {"OPT": "SGD", "BASE_LR": 0.008, "MOMENTUM": 0.9, "SCHED": "CosineAnnealingLR", "MAX_EPOCH": 120},
}


def published() -> dict[str, dict[str, Any]]:
    """Return the contents of all files by their path, as fast-reid's folder configs/ has them."""
    files = dict(BASES)
    for dataset in ("Market1501", "DukeMTMC", "MSMT17"):
        for recipe in ("bagtricks", "AGW", "sbs"):
            for name, backbone in _BACKBONES.items():
                files[f"{dataset}/{recipe}_{name}.yml"] = _of(recipe, dataset, backbone)
        files[f"{dataset}/mgn_R50-ibn.yml"] = _of("mgn", dataset, _BACKBONES["R50-ibn"])
    vit = {**_VIT, "DATASETS": _datasets("Market1501"), "OUTPUT_DIR": "logs/market1501/bagtricks_vit"}
    files["Market1501/bagtricks_vit.yml"] = vit
    files["VeRi/sbs_R50-ibn.yml"] = {
        **_of("sbs", "VeRi", _BACKBONES["R50-ibn"]),
        "INPUT": {"SIZE_TRAIN": [256, 256], "SIZE_TEST": [256, 256]},
        "DATALOADER": {"SAMPLER_TRAIN": "BalancedIdentitySampler"},
        "SOLVER": {"OPT": "SGD", "BASE_LR": 0.01, "ETA_MIN_LR": 7.7e-5, "MAX_EPOCH": 60, "WARMUP_ITERS": 3000},
    }
    for dataset, tests in (("VehicleID", ("SmallVehicleID", "MediumVehicleID", "LargeVehicleID")), ("VERIWild", ())):
        name = {"VehicleID": "VehicleID", "VERIWild": "VeRiWild"}[dataset]
        files[f"{dataset}/bagtricks_R50-ibn.yml"] = {
            **_of("bagtricks", name, _BACKBONES["R50-ibn"]),
            "DATASETS": {
                "NAMES": f"('{name}',)",
                "TESTS": str(tests or ("SmallVeRiWild", "MediumVeRiWild", "LargeVeRiWild")),
            },
            "INPUT": {"SIZE_TRAIN": [256, 256], "SIZE_TEST": [256, 256]},
            "SOLVER": {"IMS_PER_BATCH": 512, "MAX_EPOCH": 60, "STEPS": [30, 50], "WARMUP_ITERS": 2000},
        }
    return files


def _of(recipe: str, dataset: str, backbone: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {"_BASE_": f"../{_BASE_OF[recipe]}"}
    if backbone:
        values["MODEL"] = {"BACKBONE": backbone}
    return {**values, "DATASETS": _datasets(dataset), "OUTPUT_DIR": f"logs/{dataset.lower()}/{recipe}"}


def _datasets(name: str) -> dict[str, Any]:
    return {"NAMES": f"('{name}',)", "TESTS": f"('{name}',)"}


def write_published(folder: Path) -> list[Path]:
    """Write all files below a folder; tuples are text, as fast-reid writes them."""
    paths = []
    for name, values in published().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(values))
        paths.append(path)
    return paths
