"""A hook made of functions."""

from collections.abc import Callable
from typing import Any

from ..train_loop import HookBase

Callback = Callable[[Any], None]


class CallbackHook(HookBase):
    """Calls the given functions with the trainer, each at its point of the loop."""

    def __init__(
        self,
        *,
        before_train: Callback | None = None,
        after_train: Callback | None = None,
        before_step: Callback | None = None,
        after_backward: Callback | None = None,
        after_step: Callback | None = None,
    ) -> None:
        self._before_train = before_train
        self._after_train = after_train
        self._before_step = before_step
        self._after_backward = after_backward
        self._after_step = after_step

    def before_train(self) -> None:
        """Call the function given for this point."""
        if self._before_train:
            self._before_train(self.trainer)

    def after_train(self) -> None:
        """Call the function given for this point."""
        if self._after_train:
            self._after_train(self.trainer)

    def before_step(self) -> None:
        """Call the function given for this point."""
        if self._before_step:
            self._before_step(self.trainer)

    def after_backward(self) -> None:
        """Call the function given for this point."""
        if self._after_backward:
            self._after_backward(self.trainer)

    def after_step(self) -> None:
        """Call the function given for this point."""
        if self._after_step:
            self._after_step(self.trainer)
