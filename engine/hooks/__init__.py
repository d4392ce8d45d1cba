"""The hooks of the engine; `DefaultTrainer.build_hooks` shows the order in which they are registered."""

from .best_checkpoint import BestCheckpointer as BestCheckpointer
from .callback import CallbackHook as CallbackHook
from .checkpointing import PeriodicCheckpointer as PeriodicCheckpointer
from .early_stopping import EarlyStopping as EarlyStopping
from .ema import EMA as EMA
from .epoch import EpochRecorder as EpochRecorder
from .evaluation import EvalHook as EvalHook
from .freezing import LayerFreeze as LayerFreeze
from .gradient_clipping import GradientClipping as GradientClipping
from .learning_rate import LRScheduler as LRScheduler
from .memory import TorchMemoryStats as TorchMemoryStats
from .precise_bn import PreciseBN as PreciseBN
from .profiler import TorchProfiler as TorchProfiler
from .progress import ProgressBar as ProgressBar
from .stopping import REQUEUE_EXIT_CODE as REQUEUE_EXIT_CODE
from .stopping import StopOnSignal as StopOnSignal
from .stopping import TimeLimit as TimeLimit
from .time_split import TimeSplit as TimeSplit
from .timer import IterationTimer as IterationTimer
from .validation_loss import ValidationLoss as ValidationLoss
from .writing import PeriodicWriter as PeriodicWriter
