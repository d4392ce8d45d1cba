"""The schema: every key that the engine, the building blocks and the data stream read, with its default."""

from .node import CfgNode as CN


def get_cfg() -> CN:
    """Return a new config that holds every key with its default value.

    A project adds its own keys with a function of its own before it merges a file:
    ``cfg = get_cfg(); add_reid_config(cfg); cfg.merge_from_file(path)``.
    """
    cfg = CN()
    # Where a run writes. "" means output/<name of the config file>.
    cfg.OUTPUT_DIR = ""
    # Everything random follows from it. Negative: drawn once, logged and kept in the checkpoint.
    cfg.SEED = -1
    # Metrics are read, reduced and written every so many iterations.
    cfg.LOG_PERIOD = 20
    # Pictures are written every so many iterations; 0 means never during training.
    cfg.VIS_PERIOD = 0
    # Use algorithms that give the same bits again, and name an operation that has none; --deterministic sets it.
    cfg.DETERMINISTIC = False
    cfg.CUDNN_BENCHMARK = False
    # "", "highest", "high" or "medium": see torch.set_float32_matmul_precision.
    cfg.FLOAT32_PRECISION = ""
    cfg.MODEL = _model()
    cfg.DDP = _ddp()
    cfg.INPUT = CN()
    cfg.DATASETS = CN()
    # Names of data sets: registered ones, or folders below $STEPLOOP_DATASETS.
    cfg.DATASETS.TRAIN = ()
    cfg.DATASETS.TEST = ()
    cfg.DATALOADER = CN()
    cfg.DATALOADER.NUM_WORKERS = 4
    cfg.DATALOADER.SAMPLER_TRAIN = "TrainingSampler"
    cfg.SOLVER = _solver()
    cfg.TEST = CN()
    # Iterations between two evaluations; 0 means only at the end.
    cfg.TEST.EVAL_PERIOD = 0
    # Also evaluate before the first step, so that the log shows where training started.
    cfg.TEST.EVAL_AT_START = False
    cfg.TEST.IMS_PER_BATCH = 64
    # [[task, metric, expected, tolerance], ...]: the run fails when the final results differ.
    cfg.TEST.EXPECTED_RESULTS = []
    return cfg


def _model() -> CN:
    model = CN()
    # "auto": CUDA where there is one, else the CPU.
    model.DEVICE = "auto"
    model.META_ARCHITECTURE = ""
    # A checkpoint to start from (its optimizer and iteration are not taken).
    model.WEIGHTS = ""
    # RGB, in the range 0..255 (the mean and standard deviation of ImageNet).
    model.PIXEL_MEAN = [123.675, 116.28, 103.53]
    model.PIXEL_STD = [58.395, 57.12, 57.375]
    model.BACKBONE = CN()
    model.BACKBONE.NAME = "build_resnet_backbone"
    # 18, 34, 50 or 101.
    model.BACKBONE.DEPTH = 50
    # Channels of the first stage; 64 is the published network.
    model.BACKBONE.WIDTH = 64
    # Stride of the last stage: 1 keeps twice the resolution for re-identification.
    model.BACKBONE.LAST_STRIDE = 2
    # "imagenet": 7x7 stride 2, then max pooling; "small": 3x3 stride 1 and no pooling, for small images.
    model.BACKBONE.STEM = "imagenet"
    # The stem's max pooling: "pad" (padding 1, as torchvision) or "ceil" (padding 0, ceil_mode, as fast-reid).
    model.BACKBONE.STEM_POOL = "pad"
    # Half instance, half batch normalisation in the first three stages (IBN-a, arXiv:1807.09441).
    model.BACKBONE.WITH_IBN = False
    # "BN", "SyncBN", "FrozenBN" or "GN".
    model.BACKBONE.NORM = "BN"
    # A file with ImageNet weights in torchvision's names; "" starts from random weights.
    model.BACKBONE.PRETRAIN_PATH = ""
    return model


def _ddp() -> CN:
    ddp = CN()
    # Look in each step for parameters that got no gradient; needed where a step does not use all of them.
    ddp.FIND_UNUSED_PARAMETERS = False
    # Give every process the buffers of rank 0 before each forward pass. Before evaluations this happens anyway.
    ddp.BROADCAST_BUFFERS = False
    # The graph of every step is the same: lets DDP plan ahead.
    ddp.STATIC_GRAPH = False
    # How gradients travel: "" as they are, "fp16" or "bf16".
    ddp.COMPRESSION = ""
    return ddp


def _solver() -> CN:
    solver = CN()
    # Any class of torch.optim by its name, with further arguments of its constructor in OPT_ARGS.
    solver.OPT = "SGD"
    solver.OPT_ARGS = CN(new_allowed=True)
    solver.BASE_LR = 0.001
    solver.MOMENTUM = 0.9
    solver.NESTEROV = False
    solver.WEIGHT_DECAY = 1e-4
    # Weight decay of normalisation layers; None means WEIGHT_DECAY.
    solver.WEIGHT_DECAY_NORM = 0.0
    solver.allow_none("WEIGHT_DECAY_NORM")
    # Weight decay of biases; None means WEIGHT_DECAY.
    solver.WEIGHT_DECAY_BIAS = None
    solver.BIAS_LR_FACTOR = 1.0
    # Learning rate of parameters below a module named "heads", relative to BASE_LR.
    solver.HEADS_LR_FACTOR = 1.0
    # Iterations of the whole run; the batch size is the global one, over all processes and micro-batches.
    solver.MAX_ITER = 40000
    solver.IMS_PER_BATCH = 16
    # Micro-batches into which each process splits its part of a batch.
    solver.ACCUMULATE = 1
    solver.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
    solver.STEPS = (30000,)
    solver.GAMMA = 0.1
    # The learning rate at the end of a cosine, as an absolute value.
    solver.BASE_LR_END = 0.0
    solver.WARMUP_FACTOR = 0.001
    solver.WARMUP_ITERS = 1000
    solver.WARMUP_METHOD = "linear"
    # Iterations between two checkpoints; 0 means only at the end.
    solver.CHECKPOINT_PERIOD = 5000
    # How many periodic checkpoints are kept; 0 keeps all.
    solver.CHECKPOINT_MAX_TO_KEEP = 0
    # Write checkpoints in the background; the loop waits only for a copy of the state.
    solver.CHECKPOINT_ASYNC = False
    # World size for which IMS_PER_BATCH, BASE_LR and the iterations were chosen; 0 means never rescale.
    solver.REFERENCE_WORLD_SIZE = 0
    # Steps in a row that may be left out because their gradients are not finite; 0: such a loss ends the run.
    solver.MAX_SKIPPED_STEPS = 0
    # The run stops in good order after so many seconds, to be resumed; 0 means no limit.
    solver.MAX_SECONDS = 0.0
    # With several processes, a request to stop is agreed on at every reading of the metrics (LOG_PERIOD); a period here
    # reads them more often. 0 does not.
    solver.STOP_CHECK_PERIOD = 0
    # An exponential moving average of the weights, used in evaluations.
    solver.EMA = CN()
    solver.EMA.ENABLED = False
    solver.EMA.DECAY = 0.999
    solver.AMP = CN()
    solver.AMP.ENABLED = False
    # "float16" or "bfloat16".
    solver.AMP.PRECISION = "float16"
    solver.CLIP_GRADIENTS = CN()
    solver.CLIP_GRADIENTS.ENABLED = False
    # "norm" clips the norm of all gradients together, "value" each element.
    solver.CLIP_GRADIENTS.CLIP_TYPE = "norm"
    solver.CLIP_GRADIENTS.CLIP_VALUE = 1.0
    solver.CLIP_GRADIENTS.NORM_TYPE = 2.0
    return solver
