"""One step: fetch, forward, loss, backward, optimizer."""

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from steploop.config.device import device_of

from .checkpoint import unwrap
from .metrics.events import get_event_storage
from .metrics.finite import require_finite_weights
from .metrics.losses import Losses, mean_outputs, split_outputs, total
from .metrics.names import RESERVED, renamed
from .solver.skipping import StepSkipper
from .train_loop import TrainerBase


def clear_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Set all gradients to None, like `optimizer.zero_grad()`, but without its record for the profiler.

    That record is most of the cost of `zero_grad`, and more than everything else that SimpleTrainer adds to a step.
    If the optimizer's class overrides `zero_grad`, call that.
    """
    if getattr(optimizer.zero_grad, "__func__", None) is not torch.optim.Optimizer.zero_grad:
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


@runtime_checkable
class Loader(Protocol):
    """What steploop's own loaders offer in addition to iteration; a trainer closes only a loader that has all of it.

    Another iterable may have one of these names with another meaning: a generator has `close`.
    """

    @property
    def batch_size(self) -> int:
        """Number of samples of one optimizer step, over all ranks and micro-batches."""

    @property
    def epoch_length(self) -> int:
        """Number of samples of one epoch, over all ranks."""

    def seek(self, step: int) -> None:
        """Make the next iterator start at `step` >= 0."""

    def close(self) -> None:
        """End the loader's processes and threads; the next iterator starts them again."""

    def items_at(self, step: int) -> list[Any]:
        """Return the items of this rank's part of the batch of a step."""


class PhaseClock(Protocol):
    """Receives the name of each phase of a step when it begins: "data", "forward", "backward", "optimizer", "hooks"."""

    def enter(self, phase: str) -> None:
        """End the current phase and begin `phase`."""


class SimpleTrainer(TrainerBase):
    """The usual step: one model, one loader, one optimizer.

    The model returns its losses as a 0-d tensor or as a dict of 0-d tensors, which are summed. To report metrics too,
    it returns ``(losses, metrics)``, two dicts. A subclass overrides `run_step`, or one part of it: `next_batch`,
    `forward`.

    Args:
        model: a module; called as ``model(batch)``, in training mode.
        data_loader: an endless iterable. If it has ``seek(step)``, it starts at the first step of the run.
        optimizer: a torch optimizer.
        gather_metric_period: number of steps between two readings of the metrics, which also reduce over processes.
        zero_grad_before_forward: clear gradients before the forward pass instead of after it.
        async_write_metrics: ignored, accepted for detectron2's signature. Recording a metric never waits here.
        accumulate: number of batches of the loader per step, >= 1; their losses are averaged.
        precision: compute the forward pass under autocast in torch.bfloat16 or torch.float16; None: without autocast.
        grad_scaler: scales the losses. None: one is built if `precision` is float16.
        max_skipped_steps: how many steps in a row may be skipped because their loss or gradients are not finite. With
            0, no step is skipped and a loss that is not finite ends the run.

    Attributes:
        phase_clock: receives the phases of each step (see TimeSplit); None costs nothing.

    Raises:
        ValueError: `accumulate` is less than 1, or steps are to be skipped with float16.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Any,
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 20,
        zero_grad_before_forward: bool = False,
        async_write_metrics: bool = False,
        *,
        accumulate: int = 1,
        precision: torch.dtype | None = None,
        grad_scaler: torch.amp.GradScaler | None = None,
        max_skipped_steps: int = 0,
    ) -> None:
        super().__init__()
        if accumulate < 1:
            raise ValueError(f"a step needs at least one batch; got accumulate={accumulate}")
        model.train()
        self.model = model
        self.data_loader = data_loader
        self.optimizer = optimizer
        self.metric_periods = (gather_metric_period,)
        self.zero_grad_before_forward = zero_grad_before_forward
        self.accumulate = accumulate
        self.precision = precision
        self._device = device_of(model).type
        # Without float16 the scaler is disabled and does nothing: one `run_step` serves all precisions.
        self.grad_scaler = grad_scaler or torch.amp.GradScaler(self._device, enabled=precision is torch.float16)
        if max_skipped_steps and self.grad_scaler.is_enabled():
            raise ValueError("float16's scaler skips steps by itself: set max_skipped_steps to 0 or use bfloat16")
        self._skipper = StepSkipper(model, max_skipped_steps) if max_skipped_steps else None
        self._data_iterator: Iterator[Any] | None = None
        self.phase_clock: PhaseClock | None = None
        self._verified_iter: int | None = None

    def run_step(self) -> None:
        """Fetch, forward, loss, backward, step."""
        self._verified_iter = None
        if not self.model.training:
            raise RuntimeError("the model is in eval mode: an evaluation must restore the mode (see inference_context)")
        if self.zero_grad_before_forward:
            clear_gradients(self.optimizer)
        if self._skipper:
            self._skipper.remember()
        losses, metrics, data_time = self._forward_backward() if self.accumulate == 1 else self._accumulate()
        self.grad_scaler.unscale_(self.optimizer)
        # Checked before the hooks run: clipping by value would make an infinite gradient finite.
        is_skipped = self._skipper is not None and self._skipper.is_skipped(self.optimizer, total(losses), self.iter)
        clock = self.phase_clock
        if clock is not None:
            clock.enter("hooks")
        self.after_backward()
        self.write_metrics(losses, data_time, self.iter, metrics=metrics)
        if clock is not None:
            clock.enter("optimizer")
        if not is_skipped:
            self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()
        if clock is not None:
            clock.enter("hooks")

    def forward(self, batch: Any) -> Any:
        """Return the model's outputs for a batch; a subclass may call the model differently."""
        return self.model(batch)

    def next_batch(self) -> Any:
        """Return the next batch; the first call seeks the loader to the current step and starts it.

        Raises:
            ValueError: the loader ended.
        """
        if self._data_iterator is None:
            if _can_seek(self.data_loader):
                self.data_loader.seek(self.iter)
            self._data_iterator = iter(self.data_loader)
        try:
            return next(self._data_iterator)
        except StopIteration:
            raise ValueError(
                f"the data loader ended at iteration {self.iter} of {self.max_iter}: training needs one without end "
                "(steploop.data.TrainLoader, or itertools.cycle around a list of batches)"
            ) from None

    def reset_data_loader(self, data_loader_builder: Callable[[], Any]) -> None:
        """Replace the loader with the one that the builder returns; the old one is freed first."""
        self._data_iterator = None
        del self.data_loader
        self.data_loader = data_loader_builder()

    def release_data_loader(self) -> None:
        """End the processes of a loader that has steploop's `Loader` interface; another loader stays open.

        `next_batch` starts a loader that has `seek` again at its step; another iterable continues where it stopped.
        """
        if isinstance(self.data_loader, Loader):
            self.data_loader.close()
        if _can_seek(self.data_loader):
            self._data_iterator = None

    def after_train(self) -> None:
        """End the run, and the loader's processes with it."""
        try:
            super().after_train()
        finally:
            self.release_data_loader()

    @staticmethod
    def write_metrics(
        loss_dict: Losses,
        data_time: float,
        cur_iter: int,
        prefix: str = "",
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the losses, their sum as ``total_loss``, the data time, and the metrics of one step.

        If there is only one loss, only the sum is recorded. Every name gets the prefix, except the data time; a name
        that the engine itself uses is changed (see `metrics.names`).
        """
        storage = get_event_storage()
        storage.put_scalar("data_time", data_time, True, cur_iter, reduce="max")
        total_name = prefix + "total_loss"
        storage.put_scalar(total_name, total(loss_dict), True, cur_iter)
        storage.headlines[total_name] = None
        if len(loss_dict) == 1 and not metrics:
            return
        for name, value in [*(loss_dict.items() if len(loss_dict) > 1 else ()), *(metrics or {}).items()]:
            name = prefix + name
            if name in RESERVED:
                name = renamed(name, "the model")
            storage.put_scalar(name, value, True, cur_iter)
            storage.headlines[name] = None

    def verify_state(self) -> None:
        """Raise if a weight is not finite; a second call in the same step does nothing.

        Raises:
            NonFiniteWeights: see `require_finite_weights`.
        """
        if self._verified_iter != self.iter:
            require_finite_weights(unwrap(self.model), self.iter)
            self._verified_iter = self.iter

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loop together with that of the step."""
        return super().state_dict() | self.step_state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load `state_dict()`; the optimizer is restored exactly as it was saved."""
        super().load_state_dict(state_dict)
        self.load_step_state(state_dict)

    def step_state(self) -> dict[str, Any]:
        """Return the state of the optimizer and, if they are used, of the scaler and of the skipped steps."""
        state: dict[str, Any] = {"optimizer": self.optimizer.state_dict()}
        if self.grad_scaler.is_enabled():
            state["grad_scaler"] = self.grad_scaler.state_dict()
        if self._skipper:
            state["skipped_in_a_row"] = self._skipper.in_a_row
        return state

    def load_step_state(self, state: dict[str, Any]) -> None:
        """Load what `step_state` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.grad_scaler.is_enabled() and "grad_scaler" in state:
            self.grad_scaler.load_state_dict(state["grad_scaler"])
        if self._skipper:
            self._skipper.in_a_row = state.get("skipped_in_a_row", 0)

    def _forward_backward(self, is_first: bool = True) -> tuple[Losses, Losses, float]:
        """Run the forward and backward pass of one batch; return its losses, metrics and data time in seconds."""
        clock = self.phase_clock
        if clock is not None:
            clock.enter("data")
        start = time.perf_counter()
        batch = self.next_batch()
        data_time = time.perf_counter() - start
        if clock is not None:
            clock.enter("forward")
        if self.precision is None:
            outputs = self.forward(batch)
        else:
            with torch.autocast(self._device, self.precision):
                outputs = self.forward(batch)
        if clock is not None:
            clock.enter("backward")
        losses, metrics = split_outputs(outputs)
        loss = total(losses)
        if is_first and not self.zero_grad_before_forward:
            clear_gradients(self.optimizer)
        if self.accumulate > 1:
            loss = loss / self.accumulate
        self.grad_scaler.scale(loss).backward()
        return losses, metrics, data_time

    def _accumulate(self) -> tuple[Losses, Losses, float]:
        """Run the micro-batches of one step; return the means of losses and metrics, and the sum of data times."""
        parts = []
        for index in range(self.accumulate):
            is_last = index + 1 == self.accumulate
            # DDP reduces gradients in each backward pass; one reduction, at the last micro-batch, is enough.
            no_sync = self.model.no_sync if isinstance(self.model, DistributedDataParallel) else contextlib.nullcontext
            with contextlib.nullcontext() if is_last else no_sync():
                parts.append(self._forward_backward(index == 0))
        losses, metrics = mean_outputs([(losses, metrics) for losses, metrics, _ in parts])
        return losses, metrics, sum(data_time for _, _, data_time in parts)


def _can_seek(loader: Any) -> bool:
    """Return True if a loader can start at a given step; the `seek` of a file has another meaning."""
    return hasattr(loader, "seek") and not isinstance(loader, io.IOBase)


class AMPTrainer(SimpleTrainer):
    """SimpleTrainer in mixed precision, with detectron2's arguments; the step is the same.

    The scaler of float16 reads one flag from the GPU in each step, except with a fused optimizer. bfloat16 needs no
    scaler.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Any,
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 20,
        zero_grad_before_forward: bool = False,
        grad_scaler: torch.amp.GradScaler | None = None,
        precision: torch.dtype = torch.float16,
        log_grad_scaler: bool = False,
        async_write_metrics: bool = False,
        *,
        accumulate: int = 1,
    ) -> None:
        super().__init__(
            model,
            data_loader,
            optimizer,
            gather_metric_period,
            zero_grad_before_forward,
            async_write_metrics,
            accumulate=accumulate,
            precision=precision,
            grad_scaler=grad_scaler,
        )
        self.log_grad_scaler = log_grad_scaler

    def run_step(self) -> None:
        """Do SimpleTrainer's step; then record the loss scale if `log_grad_scaler` is True."""
        super().run_step()
        if self.log_grad_scaler:
            get_event_storage().put_scalar("[metric]grad_scaler", self.grad_scaler.get_scale(), cur_iter=self.iter)
