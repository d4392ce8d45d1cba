"""The engine's part of the schema: every key that it reads, with its default."""

from .node import CfgNode as CN


def get_cfg() -> CN:
    """Return a new config with the engine's keys and their default values.

    Other parts declare the keys that they read: `steploop.modeling.add_backbone_config`,
    `steploop.data.add_sampler_config`. A project has one function that adds the keys of the parts that it uses and its
    own keys. Call it before merging a file: ``cfg = get_cfg(); add_reid_config(cfg); cfg.merge_from_file(path)``.
    """
    cfg = CN()
    # The folder to which a run writes. "" means output/<name of the config file>.
    cfg.OUTPUT_DIR = ""
    # How many earlier runs without a final checkpoint are kept in OUTPUT_DIR/previous; 0 keeps all.
    cfg.PREVIOUS_RUNS_TO_KEEP = 10
    # All random numbers depend on it. Negative: a seed is drawn once, logged and stored in config.yaml.
    cfg.SEED = -1
    # Number of iterations between two readings of the metrics, at which they are reduced and written.
    cfg.LOG_PERIOD = 20
    # Writers of the metrics: "console", "json", "csv" (every value), "tensorboard", the name of an installed plug-in
    # such as "wandb" or "mlflow", or "package.module:name" of a callable that returns an EventWriter for a config.
    cfg.WRITERS = ("console", "json", "tensorboard")
    # Record the time of each phase of a step: data, forward, backward, optimizer and hooks.
    cfg.LOG_TIME_SPLIT = False
    # Use only deterministic algorithms; an operation without one is an error that names it. Set by --deterministic.
    cfg.DETERMINISTIC = False
    # torch.backends.cudnn.benchmark: let cuDNN measure and choose the fastest algorithm for each shape.
    cfg.CUDNN_BENCHMARK = False
    # Precision of float32 on CUDA: "highest"; "high" uses TensorFloat-32 for matrices and convolutions, "medium"
    # bfloat16 for matrices; "" keeps torch's default, TensorFloat-32 for convolutions only.
    cfg.FLOAT32_PRECISION = ""
    # Number of steps of a trial run, set by --fast-dev-run. 0: a normal run.
    cfg.FAST_DEV_RUN = 0
    cfg.MODEL = _model()
    cfg.DDP = _ddp()
    # How a project prepares its samples; the project declares the keys.
    cfg.INPUT = CN()
    cfg.DATASETS = CN()
    # Names of data sets: registered ones, or folders below $STEPLOOP_DATASETS.
    cfg.DATASETS.TRAIN = ()
    cfg.DATASETS.TEST = ()
    # Validation sets; only their losses are measured.
    cfg.DATASETS.VAL = ()
    cfg.DATALOADER = CN()
    cfg.DATALOADER.NUM_WORKERS = 4
    # MiB of shared memory in which each process (rank) stores decoded training images for all of its workers; 0 stores
    # none. For projects that read image files.
    cfg.DATALOADER.CACHE = 0
    # Repeat the batches of this number of first steps, to check that the loss goes to 0; 0: normal training.
    cfg.DATALOADER.OVERFIT_BATCHES = 0
    cfg.SOLVER = _solver()
    cfg.TEST = CN()
    # Iterations between two evaluations; 0 means only at the end.
    cfg.TEST.EVAL_PERIOD = 0
    # Also evaluate before the first step, so that the log shows where training started.
    cfg.TEST.EVAL_AT_START = False
    cfg.TEST.IMS_PER_BATCH = 64
    # Iterations between two measurements of the losses on DATASETS.VAL; 0 means only at the end.
    cfg.TEST.LOSS_PERIOD = 0
    # [[metric, "max" or "min"], ...], such as [["market1501/mAP", "max"]]: the best checkpoint by each metric is saved
    # to model_best.pth; with several metrics to model_best_<metric>.pth.
    cfg.TEST.BEST = []
    # Before each evaluation, compute the running statistics of batch normalisation from NUM_ITER batches.
    cfg.TEST.PRECISE_BN = CN()
    cfg.TEST.PRECISE_BN.ENABLED = False
    cfg.TEST.PRECISE_BN.NUM_ITER = 200
    # [[task, metric, expected, tolerance], ...]: the run fails if the final results differ.
    cfg.TEST.EXPECTED_RESULTS = []
    cfg.PROFILER = CN()
    # (first, end): traces of the steps first <= step < end are written to OUTPUT_DIR/profiler; () writes none.
    cfg.PROFILER.STEPS = ()
    # Iterations between two lines about the GPU's memory, ten lines at most; 0 means never.
    cfg.PROFILER.MEMORY_PERIOD = 0
    # A key of 0.2.0 that no code used. Files that have it can still be merged.
    cfg.register_deprecated_key("VIS_PERIOD")
    return cfg


def _model() -> CN:
    model = CN()
    # "auto": CUDA if there is a GPU, else the CPU.
    model.DEVICE = "auto"
    # The name of a registered model.
    model.META_ARCHITECTURE = ""
    # Store and compute images in channels-last format: faster for convolutions on tensor cores (float16, bfloat16).
    model.CHANNELS_LAST = False
    # A checkpoint to start from (its optimizer and iteration are not loaded).
    model.WEIGHTS = ""
    # The share of the model's weights, in 0..1, that such a file (or PRETRAIN_PATH) must contain; the rest is random.
    model.WEIGHTS_MIN_SHARE = 0.5
    # Names of modules, such as ["backbone"], that do not train in the first SOLVER.FREEZE_ITERS steps.
    model.FREEZE_LAYERS = []
    return model


def _ddp() -> CN:
    ddp = CN()
    # Look in each step for parameters without a gradient; needed if a step does not use all parameters.
    ddp.FIND_UNUSED_PARAMETERS = False
    # Copy the buffers of rank 0 to every process before each forward pass. Before evaluations they are always copied.
    ddp.BROADCAST_BUFFERS = False
    # True if the graph of every step is the same, which lets DDP optimise its communication.
    ddp.STATIC_GRAPH = False
    # The type in which gradients are sent: "" is their own, or "fp16" or "bf16".
    ddp.COMPRESSION = ""
    return ddp


def _solver() -> CN:
    solver = CN()
    # The name of any class of torch.optim; OPT_ARGS has further arguments of its constructor: fused True makes a step
    # one kernel, and foreach False updates one parameter at a time.
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
    # Learning rates of parts relative to BASE_LR, by the names of modules: [["backbone", 0.1], ["neck.conv", 2.0]];
    # if one module is inside another, both factors are applied.
    solver.LR_FACTORS = []
    # Number of iterations of the whole run.
    solver.MAX_ITER = 40000
    # The length of the run in epochs, in place of MAX_ITER; 0 leaves it to MAX_ITER. Where it is set, STEPS,
    # SAVE_POINTS, CHECKPOINT_PERIOD, TEST.EVAL_PERIOD and TEST.LOSS_PERIOD count epochs too.
    solver.MAX_EPOCH = 0
    # Samples of one optimizer step, over all processes and micro-batches.
    solver.IMS_PER_BATCH = 16
    # Number of micro-batches into which each process splits its part of a batch.
    solver.ACCUMULATE = 1
    # "WarmupMultiStepLR", "WarmupCosineLR", "WarmupLinearLR", "WarmupPolyLR", "WarmupConstantLR" or "OneCycleLR".
    solver.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
    solver.STEPS = (30000,)
    solver.GAMMA = 0.1
    # The learning rate at the end of a cosine, linear or polynomial schedule, as an absolute value.
    solver.BASE_LR_END = 0.0
    solver.POLY_LR_POWER = 0.9
    # The first learning rate of a warm-up, relative to BASE_LR. OneCycleLR has its own rise and no warm-up.
    solver.WARMUP_FACTOR = 0.001
    solver.WARMUP_ITERS = 1000
    # Replaces WARMUP_ITERS if it is not 0.
    solver.WARMUP_EPOCHS = 0.0
    # "linear", "constant" or "exponential".
    solver.WARMUP_METHOD = "linear"
    # Multiply the warm-up's factor, WARMUP_FACTOR to 1, onto the schedule (as mmcv does); else the learning rate goes
    # from its first value straight to the schedule's value at the end of the warm-up.
    solver.WARMUP_MULTIPLIES = False
    # In so many equal parts of the run, such as its epochs, a cosine, a line or a polynomial keeps its value; 0: none.
    solver.LR_STAIRS = 0
    # The iteration, counted from 0, at which a cosine, linear or polynomial schedule starts to decay.
    solver.DELAY_ITERS = 0
    # Replaces DELAY_ITERS if it is not 0.
    solver.DELAY_EPOCHS = 0.0
    # OneCycleLR, in torch's terms: the share of the run in which the rate rises, BASE_LR / first rate, first rate /
    # last rate, and the interpolation between them ("cos" or "linear").
    solver.ONE_CYCLE = CN()
    solver.ONE_CYCLE.PCT_START = 0.3
    solver.ONE_CYCLE.DIV_FACTOR = 25.0
    solver.ONE_CYCLE.FINAL_DIV_FACTOR = 10000.0
    solver.ONE_CYCLE.ANNEAL = "cos"
    # How the momentum (Adam's first beta) changes to MOMENTUM_END: "" constant; "Linear" or "Cosine" over the run;
    # "OneCycle" to MOMENTUM_END at the peak of OneCycleLR and back.
    solver.MOMENTUM_SCHEDULE = ""
    solver.MOMENTUM_END = 0.85
    # Iterations between two checkpoints; 0 means only at the end.
    solver.CHECKPOINT_PERIOD = 5000
    # Numbers of iterations, such as [20000, 30000], after which a checkpoint is saved that is never deleted.
    solver.SAVE_POINTS = ()
    # How many periodic checkpoints are kept; 0 keeps all.
    solver.CHECKPOINT_MAX_TO_KEEP = 0
    # Write checkpoints in the background; the loop waits only for a copy of the state.
    solver.CHECKPOINT_ASYNC = False
    # World size for which IMS_PER_BATCH, BASE_LR and the iterations were chosen; 0 means never rescale.
    solver.REFERENCE_WORLD_SIZE = 0
    # How many steps in a row may be skipped because loss or gradients are not finite; 0: such a loss ends the run.
    solver.MAX_SKIPPED_STEPS = 0
    # Number of first steps in which MODEL.FREEZE_LAYERS do not train.
    solver.FREEZE_ITERS = 0
    # End the run if a metric, such as "market1501/mAP", has not improved by more than MIN_DELTA in PATIENCE
    # evaluations in a row; "" disables early stopping.
    solver.EARLY_STOPPING = CN()
    solver.EARLY_STOPPING.METRIC = ""
    # "max" or "min".
    solver.EARLY_STOPPING.MODE = "max"
    solver.EARLY_STOPPING.PATIENCE = 5
    solver.EARLY_STOPPING.MIN_DELTA = 0.0
    # After this time in seconds, the run saves and stops, to be resumed; 0 means no limit.
    solver.MAX_SECONDS = 0.0
    # Several processes agree on a request to stop at every reading of the metrics (LOG_PERIOD); with a period here,
    # they also read them at its end. 0: no more readings.
    solver.STOP_CHECK_PERIOD = 0
    # An exponential moving average of the weights, used in evaluations.
    solver.EMA = CN()
    solver.EMA.ENABLED = False
    solver.EMA.DECAY = 0.999
    # Compile the model's forward pass with torch.compile: the first steps, and the first evaluation, take long.
    solver.COMPILE = False
    # A name of torch.compiler.list_backends(()); "" is Inductor, which needs a C++ compiler on the CPU, Triton on CUDA.
    solver.COMPILE_BACKEND = ""
    solver.AMP = CN()
    solver.AMP.ENABLED = False
    # "float16" or "bfloat16". The scaler that float16 needs reads one flag from the GPU in each step, and so waits for
    # the GPU, except if the optimizer is fused (OPT_ARGS.fused True).
    solver.AMP.PRECISION = "float16"
    solver.CLIP_GRADIENTS = CN()
    solver.CLIP_GRADIENTS.ENABLED = False
    # "norm" clips the norm of all gradients together, "value" each element.
    solver.CLIP_GRADIENTS.CLIP_TYPE = "norm"
    solver.CLIP_GRADIENTS.CLIP_VALUE = 1.0
    solver.CLIP_GRADIENTS.NORM_TYPE = 2.0
    return solver
