"""The engine's part of the schema: every key that it reads, with its default."""

from .node import CfgNode as CN


def get_cfg() -> CN:
    """Return a new config that holds the engine's keys with their default values.

    Other parts declare the keys that they read: `steploop.modeling.add_backbone_config`,
    `steploop.data.add_sampler_config`. A project has one function that adds those which it uses and its own keys; it is
    called before a file is merged: ``cfg = get_cfg(); add_reid_config(cfg); cfg.merge_from_file(path)``.
    """
    cfg = CN()
    # Where a run writes. "" means output/<name of the config file>.
    cfg.OUTPUT_DIR = ""
    # Runs that a new one has moved to OUTPUT_DIR/previous: so many of those without a final checkpoint stay; 0: all.
    cfg.PREVIOUS_RUNS_TO_KEEP = 10
    # Everything random follows from it. Negative: drawn once, logged and kept in the checkpoint.
    cfg.SEED = -1
    # Metrics are read, reduced and written every so many iterations.
    cfg.LOG_PERIOD = 20
    # Where they go: "console", "json", "csv" (every value), "tensorboard", the name of an installed plug-in such as
    # "wandb" or "mlflow", or "package.module:name" of a callable that makes an EventWriter of a config.
    cfg.WRITERS = ("console", "json", "tensorboard")
    # Record how the time of a step divides into data, forward, backward, optimizer and hooks.
    cfg.LOG_TIME_SPLIT = False
    # Use algorithms that give the same bits again, and name an operation that has none; --deterministic sets it.
    cfg.DETERMINISTIC = False
    cfg.CUDNN_BENCHMARK = False
    # How exactly CUDA multiplies float32: "highest"; "high" takes TensorFloat-32 for matrices and convolutions,
    # "medium" bfloat16 for matrices; "" leaves torch's own, TensorFloat-32 for convolutions only.
    cfg.FLOAT32_PRECISION = ""
    # A trial of so many steps, whatever MAX_ITER says of a whole run; --fast-dev-run sets it. 0 is a whole run.
    cfg.FAST_DEV_RUN = 0
    cfg.MODEL = _model()
    cfg.DDP = _ddp()
    # How a project prepares its samples; it declares the keys.
    cfg.INPUT = CN()
    cfg.DATASETS = CN()
    # Names of data sets: registered ones, or folders below $STEPLOOP_DATASETS.
    cfg.DATASETS.TRAIN = ()
    cfg.DATASETS.TEST = ()
    # Held out of the training; only their losses are measured.
    cfg.DATASETS.VAL = ()
    cfg.DATALOADER = CN()
    cfg.DATALOADER.NUM_WORKERS = 4
    # MiB of shared memory in which each process (rank) keeps decoded training images, for all of its workers; 0 keeps
    # none. For projects that read image files.
    cfg.DATALOADER.CACHE = 0
    # Train on the batches of the first so many steps again and again, to see whether the loss goes to 0; 0 does not.
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
    # [[metric, "max" or "min"], ...], such as [["market1501/mAP", "max"]]: the best checkpoint by each is kept, in
    # model_best.pth; with several metrics in model_best_<metric>.pth.
    cfg.TEST.BEST = []
    # Before each evaluation, compute the running statistics of batch normalisation from so many batches.
    cfg.TEST.PRECISE_BN = CN()
    cfg.TEST.PRECISE_BN.ENABLED = False
    cfg.TEST.PRECISE_BN.NUM_ITER = 200
    # [[task, metric, expected, tolerance], ...]: the run fails when the final results differ.
    cfg.TEST.EXPECTED_RESULTS = []
    cfg.PROFILER = CN()
    # (first, end): traces of the steps first <= step < end are written to OUTPUT_DIR/profiler; () writes none.
    cfg.PROFILER.STEPS = ()
    # Iterations between two lines about the GPU's memory, in the first ten of such periods; 0 means never.
    cfg.PROFILER.MEMORY_PERIOD = 0
    # Of 0.2.0: nothing read it. Files that hold it can still be merged.
    cfg.register_deprecated_key("VIS_PERIOD")
    return cfg


def _model() -> CN:
    model = CN()
    # "auto": CUDA where there is one, else the CPU.
    model.DEVICE = "auto"
    # A model that is registered under this name.
    model.META_ARCHITECTURE = ""
    # Store and compute images with the channels last, which convolutions on tensor cores (float16, bfloat16) want.
    model.CHANNELS_LAST = False
    # A checkpoint to start from (its optimizer and iteration are not taken).
    model.WEIGHTS = ""
    # The share of the model's weights, in 0..1, that such a file (or PRETRAIN_PATH) must hold; what it lacks is random.
    model.WEIGHTS_MIN_SHARE = 0.5
    # Names of modules, such as ["backbone"], that do not train in the first SOLVER.FREEZE_ITERS steps.
    model.FREEZE_LAYERS = []
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
    # Any class of torch.optim by its name, with further arguments of its constructor in OPT_ARGS: fused True makes
    # a step one kernel, and foreach False updates one parameter at a time.
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
    # where one module is inside of another, both factors count.
    solver.LR_FACTORS = []
    # Iterations of the whole run; the batch size is the global one, over all processes and micro-batches.
    solver.MAX_ITER = 40000
    # The length of the run in epochs, in place of MAX_ITER; 0 leaves it to MAX_ITER. Where it is set, STEPS,
    # CHECKPOINT_PERIOD, TEST.EVAL_PERIOD and TEST.LOSS_PERIOD count epochs too.
    solver.MAX_EPOCH = 0
    solver.IMS_PER_BATCH = 16
    # Micro-batches into which each process splits its part of a batch.
    solver.ACCUMULATE = 1
    # "WarmupMultiStepLR", "WarmupCosineLR", "WarmupLinearLR", "WarmupPolyLR", "WarmupConstantLR" or "OneCycleLR".
    solver.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
    solver.STEPS = (30000,)
    solver.GAMMA = 0.1
    # The learning rate at the end of a cosine, a line or a polynomial, as an absolute value.
    solver.BASE_LR_END = 0.0
    solver.POLY_LR_POWER = 0.9
    # Where a warm-up starts, relative to BASE_LR. OneCycleLR rises by itself and has no warm-up.
    solver.WARMUP_FACTOR = 0.001
    solver.WARMUP_ITERS = 1000
    # In place of WARMUP_ITERS, where it is not 0.
    solver.WARMUP_EPOCHS = 0.0
    # "linear", "constant" or "exponential".
    solver.WARMUP_METHOD = "linear"
    # The iteration, counted from 0, at which a cosine, a line or a polynomial begins to fall.
    solver.DELAY_ITERS = 0
    # In place of DELAY_ITERS, where it is not 0.
    solver.DELAY_EPOCHS = 0.0
    # OneCycleLR, in torch's terms: the share of the run that rises, BASE_LR / first rate, first rate / last rate, and
    # the way between them ("cos" or "linear").
    solver.ONE_CYCLE = CN()
    solver.ONE_CYCLE.PCT_START = 0.3
    solver.ONE_CYCLE.DIV_FACTOR = 25.0
    solver.ONE_CYCLE.FINAL_DIV_FACTOR = 10000.0
    solver.ONE_CYCLE.ANNEAL = "cos"
    # How the momentum (Adam's first beta) moves towards MOMENTUM_END: "" not at all; "Linear" or "Cosine" over the
    # run; "OneCycle" there and back, against the learning rate of OneCycleLR.
    solver.MOMENTUM_SCHEDULE = ""
    solver.MOMENTUM_END = 0.85
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
    # Steps for which MODEL.FREEZE_LAYERS stay as they are.
    solver.FREEZE_ITERS = 0
    # End the run when a metric, such as "market1501/mAP", has not improved by more than MIN_DELTA in PATIENCE
    # evaluations in a row; "" never does.
    solver.EARLY_STOPPING = CN()
    solver.EARLY_STOPPING.METRIC = ""
    # "max" or "min".
    solver.EARLY_STOPPING.MODE = "max"
    solver.EARLY_STOPPING.PATIENCE = 5
    solver.EARLY_STOPPING.MIN_DELTA = 0.0
    # The run stops in good order after so many seconds, to be resumed; 0 means no limit.
    solver.MAX_SECONDS = 0.0
    # With several processes, a request to stop is agreed on at every reading of the metrics (LOG_PERIOD); a period here
    # reads them more often. 0 does not.
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
    # it, unless the optimizer is fused (OPT_ARGS.fused True).
    solver.AMP.PRECISION = "float16"
    solver.CLIP_GRADIENTS = CN()
    solver.CLIP_GRADIENTS.ENABLED = False
    # "norm" clips the norm of all gradients together, "value" each element.
    solver.CLIP_GRADIENTS.CLIP_TYPE = "norm"
    solver.CLIP_GRADIENTS.CLIP_VALUE = 1.0
    solver.CLIP_GRADIENTS.NORM_TYPE = 2.0
    return solver
