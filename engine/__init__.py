"""The training engine: a loop with hooks, and what a run needs around it."""

import sys

if sys.platform == "win32":
    # Before the other imports, of which the first that needs fcntl would fail without a reason.
    raise ImportError(
        "steploop.engine runs on Linux; on macOS it may run, but no test says so; on Windows it does not run "
        "(it needs POSIX file locks and signals): use WSL 2 there"
    )

from steploop.config import resolve_device as resolve_device

from . import hooks as hooks
from .checkpoint import Checkpointer as Checkpointer
from .cli.arguments import default_argument_parser as default_argument_parser
from .cli.errors import clear_errors as clear_errors
from .cli.main import main as main
from .cli.setup import default_setup as default_setup
from .cli.setup import setup_config as setup_config
from .defaults.config import build_default_config as build_default_config
from .defaults.predictor import DefaultPredictor as DefaultPredictor
from .defaults.pretrained import load_pretrained as load_pretrained
from .defaults.trainer import DefaultTrainer as DefaultTrainer
from .distributed import comm as comm
from .distributed.comm import (
    all_gather as all_gather,
)
from .distributed.comm import (
    create_local_process_group as create_local_process_group,
)
from .distributed.comm import (
    gather as gather,
)
from .distributed.comm import (
    gather_tensor as gather_tensor,
)
from .distributed.comm import (
    get_local_rank as get_local_rank,
)
from .distributed.comm import (
    get_local_size as get_local_size,
)
from .distributed.comm import (
    get_rank as get_rank,
)
from .distributed.comm import (
    get_world_size as get_world_size,
)
from .distributed.comm import (
    is_main_process as is_main_process,
)
from .distributed.comm import (
    reduce_dict as reduce_dict,
)
from .distributed.comm import (
    shared_random_seed as shared_random_seed,
)
from .distributed.comm import (
    synchronize as synchronize,
)
from .distributed.ddp import create_ddp_model as create_ddp_model
from .distributed.launch import DEFAULT_TIMEOUT as DEFAULT_TIMEOUT
from .distributed.launch import launch as launch
from .evaluation.evaluator import (
    DatasetEvaluator as DatasetEvaluator,
)
from .evaluation.evaluator import (
    DatasetEvaluators as DatasetEvaluators,
)
from .evaluation.evaluator import (
    inference_context as inference_context,
)
from .evaluation.evaluator import (
    inference_on_dataset as inference_on_dataset,
)
from .evaluation.gathered import ClassificationEvaluator as ClassificationEvaluator
from .evaluation.gathered import GatheredEvaluator as GatheredEvaluator
from .evaluation.results import (
    flatten_results_dict as flatten_results_dict,
)
from .evaluation.results import (
    print_csv_format as print_csv_format,
)
from .evaluation.results import (
    verify_results as verify_results,
)
from .hooks import (
    EMA as EMA,
)
from .hooks import (
    REQUEUE_EXIT_CODE as REQUEUE_EXIT_CODE,
)
from .hooks import (
    BestCheckpointer as BestCheckpointer,
)
from .hooks import (
    CallbackHook as CallbackHook,
)
from .hooks import (
    EarlyStopping as EarlyStopping,
)
from .hooks import (
    EpochRecorder as EpochRecorder,
)
from .hooks import (
    EvalHook as EvalHook,
)
from .hooks import (
    GradientClipping as GradientClipping,
)
from .hooks import (
    IterationTimer as IterationTimer,
)
from .hooks import (
    LayerFreeze as LayerFreeze,
)
from .hooks import (
    LRScheduler as LRScheduler,
)
from .hooks import (
    PeriodicCheckpointer as PeriodicCheckpointer,
)
from .hooks import (
    PeriodicWriter as PeriodicWriter,
)
from .hooks import (
    PreciseBN as PreciseBN,
)
from .hooks import (
    ProgressBar as ProgressBar,
)
from .hooks import (
    StopOnSignal as StopOnSignal,
)
from .hooks import (
    TimeLimit as TimeLimit,
)
from .hooks import (
    TimeSplit as TimeSplit,
)
from .hooks import (
    TorchMemoryStats as TorchMemoryStats,
)
from .hooks import (
    TorchProfiler as TorchProfiler,
)
from .hooks import (
    ValidationLoss as ValidationLoss,
)
from .metrics import writers as writers
from .metrics.events import (
    EventStorage as EventStorage,
)
from .metrics.events import (
    EventWriter as EventWriter,
)
from .metrics.events import (
    get_event_storage as get_event_storage,
)
from .metrics.events import (
    has_event_storage as has_event_storage,
)
from .metrics.finite import NonFiniteWeights as NonFiniteWeights
from .metrics.history import HistoryBuffer as HistoryBuffer
from .metrics.losses import NonFiniteLoss as NonFiniteLoss
from .metrics.writers import (
    CommonMetricPrinter as CommonMetricPrinter,
)
from .metrics.writers import (
    CSVWriter as CSVWriter,
)
from .metrics.writers import (
    JSONWriter as JSONWriter,
)
from .metrics.writers import (
    TensorboardXWriter as TensorboardXWriter,
)
from .metrics.writers import (
    build_writers as build_writers,
)
from .metrics.writers import (
    default_writers as default_writers,
)
from .run.environment import collect_env_info as collect_env_info
from .run.logger import (
    log_every_n_seconds as log_every_n_seconds,
)
from .run.logger import (
    log_first_n as log_first_n,
)
from .run.logger import (
    setup_logger as setup_logger,
)
from .run.seeding import seed_all_rng as seed_all_rng
from .simple_trainer import AMPTrainer as AMPTrainer
from .simple_trainer import SimpleTrainer as SimpleTrainer
from .solver import (
    LRMultiplier as LRMultiplier,
)
from .solver import (
    WarmupParamScheduler as WarmupParamScheduler,
)
from .solver import (
    build_lr_scheduler as build_lr_scheduler,
)
from .solver import (
    build_optimizer as build_optimizer,
)
from .solver import (
    get_default_optimizer_params as get_default_optimizer_params,
)
from .train_loop import HookBase as HookBase
from .train_loop import TrainerBase as TrainerBase

# Where version 0.2 had them: `from steploop.engine.writers import JSONWriter` goes on working, with the same classes.
sys.modules[f"{__name__}.writers"] = writers
