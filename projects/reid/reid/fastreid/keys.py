"""What becomes of each key of fast-reid's: taken, ignored with a reason, or refused with a reason."""

# Taken as they are: the same name, the same meaning.
SAME = (
    "CUDNN_BENCHMARK",
    "DATALOADER.NUM_INSTANCE",
    "DATALOADER.NUM_WORKERS",
    "DATASETS.COMBINEALL",
    "INPUT.AUGMIX.ENABLED",
    "INPUT.AUGMIX.PROB",
    "INPUT.AUTOAUG.ENABLED",
    "INPUT.AUTOAUG.PROB",
    "INPUT.CJ.BRIGHTNESS",
    "INPUT.CJ.CONTRAST",
    "INPUT.CJ.ENABLED",
    "INPUT.CJ.HUE",
    "INPUT.CJ.PROB",
    "INPUT.CJ.SATURATION",
    "INPUT.CROP.ENABLED",
    "INPUT.CROP.RATIO",
    "INPUT.CROP.SCALE",
    "INPUT.CROP.SIZE",
    "INPUT.FLIP.ENABLED",
    "INPUT.FLIP.PROB",
    "INPUT.PADDING.ENABLED",
    "INPUT.PADDING.MODE",
    "INPUT.PADDING.SIZE",
    "INPUT.REA.ENABLED",
    "INPUT.REA.PROB",
    "INPUT.REA.VALUE",
    "INPUT.RPT.ENABLED",
    "INPUT.RPT.PROB",
    "INPUT.SIZE_TEST",
    "INPUT.SIZE_TRAIN",
    "MODEL.BACKBONE.ATT_DROP_RATE",
    "MODEL.BACKBONE.DEPTH",
    "MODEL.BACKBONE.DROP_PATH_RATIO",
    "MODEL.BACKBONE.DROP_RATIO",
    "MODEL.BACKBONE.LAST_STRIDE",
    "MODEL.BACKBONE.NAME",
    "MODEL.BACKBONE.STRIDE_SIZE",
    "MODEL.BACKBONE.WITH_IBN",
    "MODEL.BACKBONE.WITH_NL",
    "MODEL.BACKBONE.WITH_SE",
    "MODEL.FREEZE_LAYERS",
    "MODEL.HEADS.CLS_LAYER",
    "MODEL.HEADS.EMBEDDING_DIM",
    "MODEL.HEADS.MARGIN",
    "MODEL.HEADS.NAME",
    "MODEL.HEADS.NECK_FEAT",
    "MODEL.HEADS.NUM_CLASSES",
    "MODEL.HEADS.POOL_LAYER",
    "MODEL.HEADS.SCALE",
    "MODEL.HEADS.WITH_BNNECK",
    "MODEL.LOSSES.CE.ALPHA",
    "MODEL.LOSSES.CE.EPSILON",
    "MODEL.LOSSES.CE.SCALE",
    "MODEL.LOSSES.CIRCLE.GAMMA",
    "MODEL.LOSSES.CIRCLE.MARGIN",
    "MODEL.LOSSES.CIRCLE.SCALE",
    "MODEL.LOSSES.COSFACE.GAMMA",
    "MODEL.LOSSES.COSFACE.MARGIN",
    "MODEL.LOSSES.COSFACE.SCALE",
    "MODEL.LOSSES.FL.ALPHA",
    "MODEL.LOSSES.FL.GAMMA",
    "MODEL.LOSSES.FL.SCALE",
    "MODEL.LOSSES.NAME",
    "MODEL.LOSSES.TRI.HARD_MINING",
    "MODEL.LOSSES.TRI.MARGIN",
    "MODEL.LOSSES.TRI.NORM_FEAT",
    "MODEL.LOSSES.TRI.SCALE",
    "MODEL.META_ARCHITECTURE",
    "MODEL.PIXEL_MEAN",
    "MODEL.PIXEL_STD",
    "MODEL.QUEUE_SIZE",
    "MODEL.WEIGHTS",
    "OUTPUT_DIR",
    "SOLVER.BASE_LR",
    "SOLVER.BIAS_LR_FACTOR",
    "SOLVER.CHECKPOINT_PERIOD",
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE",
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE",
    "SOLVER.CLIP_GRADIENTS.ENABLED",
    "SOLVER.CLIP_GRADIENTS.NORM_TYPE",
    "SOLVER.DELAY_EPOCHS",
    "SOLVER.FREEZE_ITERS",
    "SOLVER.GAMMA",
    "SOLVER.HEADS_LR_FACTOR",
    "SOLVER.IMS_PER_BATCH",
    "SOLVER.MAX_EPOCH",
    "SOLVER.MOMENTUM",
    "SOLVER.NESTEROV",
    "SOLVER.OPT",
    "SOLVER.STEPS",
    "SOLVER.WARMUP_FACTOR",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.WEIGHT_DECAY",
    "SOLVER.WEIGHT_DECAY_BIAS",
    "SOLVER.WEIGHT_DECAY_NORM",
    "TEST.AQE.ALPHA",
    "TEST.AQE.ENABLED",
    "TEST.AQE.QE_K",
    "TEST.AQE.QE_TIME",
    "TEST.EVAL_PERIOD",
    "TEST.FLIP.ENABLED",
    "TEST.IMS_PER_BATCH",
    "TEST.METRIC",
    "TEST.PRECISE_BN.ENABLED",
    "TEST.PRECISE_BN.NUM_ITER",
    "TEST.RERANK.ENABLED",
    "TEST.RERANK.K1",
    "TEST.RERANK.K2",
    "TEST.RERANK.LAMBDA",
    "TEST.ROC.ENABLED",
)

# The same meaning under another name.
RENAMED = {
    "DATASETS.NAMES": "DATASETS.TRAIN",
    "DATASETS.TESTS": "DATASETS.TEST",
    "MODEL.BACKBONE.FEAT_DIM": "MODEL.BACKBONE.EXPECTED_CHANNELS",
    "SOLVER.ETA_MIN_LR": "SOLVER.BASE_LR_END",
}

# Another form of the same, see `translate.py`.
CONVERTED = (
    "DATALOADER.SAMPLER_TRAIN",
    "INPUT.AFFINE.ENABLED",
    "MODEL.BACKBONE.NORM",
    "MODEL.BACKBONE.PRETRAIN",
    "MODEL.BACKBONE.PRETRAIN_PATH",
    "MODEL.DEVICE",
    "MODEL.HEADS.NORM",
    "SOLVER.AMP.ENABLED",
    "SOLVER.SCHED",
    "SOLVER.WARMUP_METHOD",
)

# Of no effect, with the reason; told in the log where the value is not the default.
IGNORED = {
    "MODEL.BACKBONE.SIE_COE": "fast-reid never gives its transformer a camera, so nothing is multiplied by it",
    "TEST.PRECISE_BN.DATASET": "the statistics come from the training sets, before each evaluation",
    "DATALOADER.SET_WEIGHT": "only SetReWeightSampler reads it",
}

_DISTILLER = "models that learn from a teacher (META_ARCHITECTURE Distiller) are not built here"

# Refused where the value is not the default, with the reason.
UNBUILT = {
    "KD.EMA.ENABLED": _DISTILLER,
    "KD.EMA.MOMENTUM": _DISTILLER,
    "KD.MODEL_CONFIG": _DISTILLER,
    "KD.MODEL_WEIGHTS": _DISTILLER,
}

_OLD = "it is a key of fast-reid before 1.0: use the config file of a newer version"


def _project(name: str) -> str:
    return f"it belongs to fast-reid's project {name}, which is not a part of this one"


# Not in fast-reid's defaults; the beginning of a key, with the reason for refusing it.
REFUSED = {
    "DATASETS.RM_LT": _project("NAIC20"),
    "DATASETS.REC_PATH": _project("FastFace"),
    "MODEL.HEADS.PFC": _project("FastFace"),
    "TEST.DSR": _project("PartialReID"),
    "TEST.SAVE_DISTMAT": _project("NAIC20"),
    "SOLVER.FREEZE_FC_ITERS": _OLD,
    "SOLVER.MAX_ITER": f"{_OLD}, or set SOLVER.MAX_EPOCH",
    "SOLVER.SWA": _OLD,
}

# Keys that only fast-reid has: one of them tells its dialect.
RECOGNISED_BY = (
    "DATASETS.NAMES",
    "DATASETS.TESTS",
    "SOLVER.SCHED",
    "SOLVER.ETA_MIN_LR",
    "MODEL.BACKBONE.PRETRAIN",
    "MODEL.BACKBONE.FEAT_DIM",
)
