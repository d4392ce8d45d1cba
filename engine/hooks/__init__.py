"""The hooks that come with the engine, in the order in which DefaultTrainer registers them."""

from .callback import CallbackHook
from .checkpointing import BestCheckpointer, PeriodicCheckpointer
from .ema import EMA
from .evaluation import EvalHook
from .gradient_clipping import GradientClipping
from .learning_rate import LRScheduler
from .progress import ProgressBar
from .stopping import REQUEUE_EXIT_CODE, StopOnSignal, TimeLimit
from .timer import IterationTimer
from .writing import PeriodicWriter

__all__ = [
    "EMA",
    "REQUEUE_EXIT_CODE",
    "BestCheckpointer",
    "CallbackHook",
    "EvalHook",
    "GradientClipping",
    "IterationTimer",
    "LRScheduler",
    "PeriodicCheckpointer",
    "PeriodicWriter",
    "ProgressBar",
    "StopOnSignal",
    "TimeLimit",
]
