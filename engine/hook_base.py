"""What a hook is, and the list that a trainer calls."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import comm
from .period import every

if TYPE_CHECKING:
    from .train_loop import TrainerBase

logger = logging.getLogger(__name__)

Call = Callable[[], None]

HOOK_POINTS = ("before_train", "before_step", "after_backward", "after_step", "after_train")


class HookBase:
    """Something that acts at five points of the loop::

        hook.before_train()
        for trainer.iter in range(start_iter, max_iter):
            hook.before_step()
            trainer.run_step()          # fetch, forward, backward
                hook.after_backward()   # gradients are complete and unscaled
                                        # optimizer.step()
            hook.after_step()
        trainer.iter = max_iter         # only when nothing failed and nobody asked to stop
        hook.after_train()

    A hook overrides what it needs and is called only there. `before_step` must take next to no time; what takes long
    belongs in `after_step`. In `after_train`, ``trainer.iter == trainer.max_iter`` says that the run was finished.

    Attributes:
        trainer: the trainer, as a weak proxy; set when the hook is registered.
        name: the name of this hook's state in a checkpoint; None takes the class's, numbered from the second on.
        turn: hooks of a later turn act after all of an earlier one, whichever was registered first: in turn 1 is
            written what the others recorded, in turn 2 is saved what all of them did.
    """

    trainer: "TrainerBase"
    name: str | None = None
    turn: int = 0

    def before_train(self) -> None:
        """Called before the first step."""

    def before_step(self) -> None:
        """Called before each step."""

    def after_backward(self) -> None:
        """Called in each step between the backward pass and the optimizer's step."""

    def after_step(self) -> None:
        """Called after each step."""

    def after_train(self) -> None:
        """Called after the last step, also when the run failed."""

    def state_dict(self) -> dict[str, Any]:
        """Return what this hook learned while training, as plain data; kept in every checkpoint."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; a hook that has a state implements it."""

    def every(self, period: int) -> bool:
        """Say whether the current step is the last of a block of `period` steps; 0 means never."""
        return every(period, self.trainer.iter)

    def is_last_iter(self) -> bool:
        """Say whether the current step is the last of the run."""
        return self.trainer.iter + 1 == self.trainer.max_iter

    def is_finished(self) -> bool:
        """Say, in `after_train`, whether the run reached its end."""
        return self.trainer.iter == self.trainer.max_iter


class HookList:
    """The calls that hooks want, in their order; a hook is called only at the points that it overrides.

    Attributes:
        before_train, before_step, after_backward, after_step, after_train: what to call there.
    """

    def __init__(self) -> None:
        self.bind([])

    def bind(self, hooks: list[HookBase]) -> None:
        """Look up once what each hook overrides."""
        calls = {point: [getattr(h, point) for h in hooks if _overrides(h, point)] for point in HOOK_POINTS}
        self.before_train: list[Call] = calls["before_train"]
        self.before_step: list[Call] = calls["before_step"]
        self.after_backward: list[Call] = calls["after_backward"]
        self.after_step: list[Call] = calls["after_step"]
        self.after_train: list[Call] = calls["after_train"]

    def check(self, hook: HookBase, others: list[HookBase]) -> None:
        """Raise if `hook` cannot be registered beside the others (TypeError, ValueError)."""
        if not isinstance(hook, HookBase):
            raise TypeError(f"a hook is a subclass of HookBase; got {type(hook).__name__}: {hook!r}")
        if _overrides(hook, "state_dict") and not _overrides(hook, "load_state_dict"):
            raise TypeError(
                f"{type(hook).__name__} has state_dict() but no load_state_dict(): a resumed run could not restore it"
            )
        if hook.name is not None and hook.name in dict(self.named(others)):
            raise ValueError(f"two hooks are named {hook.name!r}: their states could not be told apart; rename one")

    def named(self, hooks: list[HookBase]) -> list[tuple[str, HookBase]]:
        """Return (name, hook); of several hooks of one class, the second is ``Class#2`` and so on."""
        pairs: list[tuple[str, HookBase]] = []
        for hook in hooks:
            name = base = hook.name or type(hook).__qualname__
            taken = {other for other, _ in pairs}
            number = 1
            while name in taken:
                number += 1
                name = f"{base}#{number}"
            pairs.append((name, hook))
        return pairs

    def load_states(self, hooks: list[HookBase], states: dict[str, Any]) -> None:
        """Give each hook the state of its name; report what has no counterpart.

        States are the main process's, and some hooks are registered there only: the others do not report.
        """
        named = dict(self.named(hooks))
        report = logger.warning if comm.is_main_process() else logger.debug
        for name, state in states.items():
            if name in named:
                named[name].load_state_dict(state)
            else:
                report("The checkpoint holds a state of the hook %r, which is not registered; left out", name)
        for name, hook in named.items():
            if hook.state_dict() and name not in states:
                report("The checkpoint holds no state of the hook %r; it starts anew", name)


def call_all(calls: list[Call], point: str) -> None:
    """Make every call, whatever the others do; then raise the first error, if any."""
    errors = []
    for call in calls:
        try:
            call()
        except Exception as error:
            logger.exception("%s of %s failed:", point, type(getattr(call, "__self__", call)).__name__)
            errors.append(error)
    if errors:
        raise errors[0]


def _overrides(hook: HookBase, method: str) -> bool:
    return getattr(getattr(hook, method), "__func__", None) is not getattr(HookBase, method)
