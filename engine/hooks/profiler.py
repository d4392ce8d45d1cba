"""Profiles time and memory of some steps."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile, supported_activities, tensorboard_trace_handler

from ..distributed import comm
from ..run.best_effort import BestEffort
from ..train_loop import HookBase


class TorchProfiler(HookBase):
    """Profiles, with torch.profiler, each step for which a predicate is true.

    Open a trace with chrome://tracing, https://ui.perfetto.dev or TensorBoard's profiler. Profiling makes a step
    several times slower, the first one most; it does not change the results of the training::

        TorchProfiler(lambda trainer: 10 <= trainer.iter < 12, "output/profiler")

    Args:
        enable_predicate: called with the trainer before each step; returns True to profile the step.
        output_dir: folder of the traces: ``log/profiler-tensorboard-iter<step>/`` or
            ``profiler-trace-iter<step>.json``.
        activities: what to profile (CPU, CUDA); None: all activities that this machine supports.
        save_tensorboard: True writes a file per process, for TensorBoard; False one file, of the main process.
    """

    def __init__(
        self,
        enable_predicate: Callable[[Any], bool],
        output_dir: str,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        save_tensorboard: bool = True,
    ) -> None:
        self._enable_predicate = enable_predicate
        self._output_dir = Path(output_dir)
        self._activities = activities
        self._save_tensorboard = save_tensorboard
        self._profiler: profile | None = None
        self._effort = BestEffort()

    def before_step(self) -> None:
        """Start the profiler if the predicate is true for this step."""
        if self._enable_predicate(self.trainer):
            self._effort.attempt("a trace of the profiler", self._start)

    def after_step(self) -> None:
        """Write the trace."""
        if self._profiler is not None:
            self._effort.attempt("a trace of the profiler", self._write)

    def after_train(self) -> None:
        """Stop the profiler if a step failed."""
        if self._profiler is not None:
            profiler, self._profiler = self._profiler, None
            self._effort.attempt("a trace of the profiler", profiler.stop)
        self._effort.report()

    def _start(self) -> None:
        folder = self._output_dir / "log" / f"profiler-tensorboard-iter{self.trainer.iter}"
        self._profiler = profile(
            activities=supported_activities() if self._activities is None else self._activities,
            on_trace_ready=tensorboard_trace_handler(str(folder), f"worker{comm.get_rank()}")
            if self._save_tensorboard
            else None,
            record_shapes=True,
            profile_memory=True,
            with_stack=True,
            with_flops=True,
        )
        self._profiler.start()

    def _write(self) -> None:
        assert self._profiler is not None
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        if not self._save_tensorboard and comm.is_main_process():
            self._output_dir.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(self._output_dir / f"profiler-trace-iter{self.trainer.iter}.json"))
