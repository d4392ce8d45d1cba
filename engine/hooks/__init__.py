"""The hooks that come with the engine, in the order in which DefaultTrainer registers them."""

from .callback import CallbackHook
from .checkpointing import BestCheckpointer, PeriodicCheckpointer
from .early_stopping import EarlyStopping
from .ema import EMA
from .epoch import EpochRecorder
from .evaluation import EvalHook
from .freezing import LayerFreeze
from .gradient_clipping import GradientClipping
from .learning_rate import LRScheduler
from .memory import TorchMemoryStats
from .precise_bn import PreciseBN
from .profiler import TorchProfiler
from .progress import ProgressBar
from .stopping import REQUEUE_EXIT_CODE, StopOnSignal, TimeLimit
from .time_split import TimeSplit
from .timer import IterationTimer
from .validation_loss import ValidationLoss
from .writing import PeriodicWriter

__all__ = [
    "EMA",
    "REQUEUE_EXIT_CODE",
    "BestCheckpointer",
    "CallbackHook",
    "EarlyStopping",
    "EpochRecorder",
    "EvalHook",
    "GradientClipping",
    "IterationTimer",
    "LRScheduler",
    "LayerFreeze",
    "PeriodicCheckpointer",
    "PeriodicWriter",
    "PreciseBN",
    "ProgressBar",
    "StopOnSignal",
    "TimeLimit",
    "TimeSplit",
    "TorchMemoryStats",
    "TorchProfiler",
    "ValidationLoss",
]
