"""The training engine: a loop with hooks, and what a run needs around it."""

from steploop.config import resolve_device

from . import comm, hooks
from .arguments import default_argument_parser
from .checkpoint import Checkpointer
from .comm import (
    all_gather,
    create_local_process_group,
    gather,
    gather_tensor,
    get_local_rank,
    get_local_size,
    get_rank,
    get_world_size,
    is_main_process,
    reduce_dict,
    shared_random_seed,
    synchronize,
)
from .command import clear_errors
from .ddp import create_ddp_model
from .defaults import DefaultTrainer
from .environment import collect_env_info
from .evaluator import (
    DatasetEvaluator,
    DatasetEvaluators,
    flatten_results_dict,
    inference_context,
    inference_on_dataset,
    print_csv_format,
    verify_results,
)
from .events import EventStorage, EventWriter, get_event_storage, has_event_storage
from .history import HistoryBuffer
from .hook_base import HookBase
from .hooks import (
    EMA,
    REQUEUE_EXIT_CODE,
    BestCheckpointer,
    CallbackHook,
    EarlyStopping,
    EpochRecorder,
    EvalHook,
    GradientClipping,
    IterationTimer,
    LayerFreeze,
    LRScheduler,
    PeriodicCheckpointer,
    PeriodicWriter,
    PreciseBN,
    ProgressBar,
    StopOnSignal,
    TimeLimit,
    TimeSplit,
    TorchMemoryStats,
    TorchProfiler,
    ValidationLoss,
)
from .launch import DEFAULT_TIMEOUT, launch
from .logger import log_every_n_seconds, log_first_n, setup_logger
from .losses import NonFiniteLoss
from .predictor import DefaultPredictor
from .seeding import seed_all_rng
from .setup import default_setup, setup_config
from .simple_trainer import AMPTrainer, SimpleTrainer
from .solver import (
    LRMultiplier,
    WarmupParamScheduler,
    build_lr_scheduler,
    build_optimizer,
    get_default_optimizer_params,
)
from .train_loop import TrainerBase
from .writers import CommonMetricPrinter, CSVWriter, JSONWriter, TensorboardXWriter, build_writers, default_writers

__all__ = [
    "DEFAULT_TIMEOUT",
    "EMA",
    "REQUEUE_EXIT_CODE",
    "AMPTrainer",
    "BestCheckpointer",
    "CSVWriter",
    "CallbackHook",
    "Checkpointer",
    "CommonMetricPrinter",
    "DatasetEvaluator",
    "DatasetEvaluators",
    "DefaultPredictor",
    "DefaultTrainer",
    "EarlyStopping",
    "EpochRecorder",
    "EvalHook",
    "EventStorage",
    "EventWriter",
    "GradientClipping",
    "HistoryBuffer",
    "HookBase",
    "IterationTimer",
    "JSONWriter",
    "LRMultiplier",
    "LRScheduler",
    "LayerFreeze",
    "NonFiniteLoss",
    "PeriodicCheckpointer",
    "PeriodicWriter",
    "PreciseBN",
    "ProgressBar",
    "SimpleTrainer",
    "StopOnSignal",
    "TensorboardXWriter",
    "TimeLimit",
    "TorchMemoryStats",
    "TorchProfiler",
    "TimeSplit",
    "TrainerBase",
    "ValidationLoss",
    "WarmupParamScheduler",
    "all_gather",
    "build_lr_scheduler",
    "build_optimizer",
    "build_writers",
    "clear_errors",
    "collect_env_info",
    "comm",
    "create_ddp_model",
    "create_local_process_group",
    "default_argument_parser",
    "default_setup",
    "default_writers",
    "flatten_results_dict",
    "gather",
    "gather_tensor",
    "get_default_optimizer_params",
    "get_event_storage",
    "get_local_rank",
    "get_local_size",
    "get_rank",
    "get_world_size",
    "has_event_storage",
    "hooks",
    "inference_context",
    "inference_on_dataset",
    "is_main_process",
    "launch",
    "log_every_n_seconds",
    "log_first_n",
    "print_csv_format",
    "reduce_dict",
    "resolve_device",
    "seed_all_rng",
    "setup_config",
    "setup_logger",
    "shared_random_seed",
    "synchronize",
    "verify_results",
]
