"""Every key of fast-reid's config (version of 2022), with its default."""

from typing import Any

from steploop.config import CfgNode

# A file that is silent about a key means this value, which is often another than ours.
_DEFAULTS: dict[str, Any] = {
    "CUDNN_BENCHMARK": False,
    "DATALOADER": {
        "NUM_INSTANCE": 4,
        "NUM_WORKERS": 8,
        "SAMPLER_TRAIN": "TrainingSampler",
        "SET_WEIGHT": [],
    },
    "DATASETS": {
        "COMBINEALL": False,
        "NAMES": ("Market1501",),
        "TESTS": ("Market1501",),
    },
    "INPUT": {
        "AFFINE": {
            "ENABLED": False,
        },
        "AUGMIX": {
            "ENABLED": False,
            "PROB": 0.0,
        },
        "AUTOAUG": {
            "ENABLED": False,
            "PROB": 0.0,
        },
        "CJ": {
            "BRIGHTNESS": 0.15,
            "CONTRAST": 0.15,
            "ENABLED": False,
            "HUE": 0.1,
            "PROB": 0.5,
            "SATURATION": 0.1,
        },
        "CROP": {
            "ENABLED": False,
            "RATIO": [0.75, 1.3333333333333333],
            "SCALE": [0.16, 1],
            "SIZE": [224, 224],
        },
        "FLIP": {
            "ENABLED": False,
            "PROB": 0.5,
        },
        "PADDING": {
            "ENABLED": False,
            "MODE": "constant",
            "SIZE": 10,
        },
        "REA": {
            "ENABLED": False,
            "PROB": 0.5,
            "VALUE": [123.675, 116.28, 103.53],
        },
        "RPT": {
            "ENABLED": False,
            "PROB": 0.5,
        },
        "SIZE_TEST": [256, 128],
        "SIZE_TRAIN": [256, 128],
    },
    "KD": {
        "EMA": {
            "ENABLED": False,
            "MOMENTUM": 0.999,
        },
        "MODEL_CONFIG": [],
        "MODEL_WEIGHTS": [],
    },
    "MODEL": {
        "BACKBONE": {
            "ATT_DROP_RATE": 0.0,
            "DEPTH": "50x",
            "DROP_PATH_RATIO": 0.1,
            "DROP_RATIO": 0.0,
            "FEAT_DIM": 2048,
            "LAST_STRIDE": 1,
            "NAME": "build_resnet_backbone",
            "NORM": "BN",
            "PRETRAIN": False,
            "PRETRAIN_PATH": "",
            "SIE_COE": 3.0,
            "STRIDE_SIZE": (16, 16),
            "WITH_IBN": False,
            "WITH_NL": False,
            "WITH_SE": False,
        },
        "DEVICE": "cuda",
        "FREEZE_LAYERS": [],
        "HEADS": {
            "CLS_LAYER": "Linear",
            "EMBEDDING_DIM": 0,
            "MARGIN": 0.0,
            "NAME": "EmbeddingHead",
            "NECK_FEAT": "before",
            "NORM": "BN",
            "NUM_CLASSES": 0,
            "POOL_LAYER": "GlobalAvgPool",
            "SCALE": 1,
            "WITH_BNNECK": False,
        },
        "LOSSES": {
            "CE": {
                "ALPHA": 0.2,
                "EPSILON": 0.0,
                "SCALE": 1.0,
            },
            "CIRCLE": {
                "GAMMA": 128,
                "MARGIN": 0.25,
                "SCALE": 1.0,
            },
            "COSFACE": {
                "GAMMA": 128,
                "MARGIN": 0.25,
                "SCALE": 1.0,
            },
            "FL": {
                "ALPHA": 0.25,
                "GAMMA": 2,
                "SCALE": 1.0,
            },
            "NAME": ("CrossEntropyLoss",),
            "TRI": {
                "HARD_MINING": False,
                "MARGIN": 0.3,
                "NORM_FEAT": False,
                "SCALE": 1.0,
            },
        },
        "META_ARCHITECTURE": "Baseline",
        "PIXEL_MEAN": [123.675, 116.28, 103.53],
        "PIXEL_STD": [58.395, 57.12, 57.375],
        "QUEUE_SIZE": 8192,
        "WEIGHTS": "",
    },
    "OUTPUT_DIR": "logs/",
    "SOLVER": {
        "AMP": {
            "ENABLED": False,
        },
        "BASE_LR": 0.0003,
        "BIAS_LR_FACTOR": 1.0,
        "CHECKPOINT_PERIOD": 20,
        "CLIP_GRADIENTS": {
            "CLIP_TYPE": "norm",
            "CLIP_VALUE": 5.0,
            "ENABLED": False,
            "NORM_TYPE": 2.0,
        },
        "DELAY_EPOCHS": 0,
        "ETA_MIN_LR": 1e-07,
        "FREEZE_ITERS": 0,
        "GAMMA": 0.1,
        "HEADS_LR_FACTOR": 1.0,
        "IMS_PER_BATCH": 64,
        "MAX_EPOCH": 120,
        "MOMENTUM": 0.9,
        "NESTEROV": False,
        "OPT": "Adam",
        "SCHED": "MultiStepLR",
        "STEPS": [30, 55],
        "WARMUP_FACTOR": 0.1,
        "WARMUP_ITERS": 1000,
        "WARMUP_METHOD": "linear",
        "WEIGHT_DECAY": 0.0005,
        "WEIGHT_DECAY_BIAS": 0.0005,
        "WEIGHT_DECAY_NORM": 0.0005,
    },
    "TEST": {
        "AQE": {
            "ALPHA": 3.0,
            "ENABLED": False,
            "QE_K": 5,
            "QE_TIME": 1,
        },
        "EVAL_PERIOD": 20,
        "FLIP": {
            "ENABLED": False,
        },
        "IMS_PER_BATCH": 64,
        "METRIC": "cosine",
        "PRECISE_BN": {
            "DATASET": "Market1501",
            "ENABLED": False,
            "NUM_ITER": 300,
        },
        "RERANK": {
            "ENABLED": False,
            "K1": 20,
            "K2": 6,
            "LAMBDA": 0.3,
        },
        "ROC": {
            "ENABLED": False,
        },
    },
}


def fastreid_defaults() -> CfgNode:
    """Return a new config with fast-reid's keys and defaults."""
    return CfgNode(_DEFAULTS)
