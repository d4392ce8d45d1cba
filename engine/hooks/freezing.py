"""Freezes parts of a model in the first steps."""

import logging
from collections.abc import Sequence

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from steploop.config.errors import unknown

from ..checkpoint import unwrap
from ..train_loop import HookBase

logger = logging.getLogger(__name__)


class LayerFreeze(HookBase):
    """Freezes some modules of a model in the first `freeze_iters` steps. It has no state: the step decides.

    A frozen parameter gets no gradient, so the optimizer does not change it, its weight decay or its momentum. Batch
    normalisation in a frozen module stays in eval mode, even if other code calls ``model.train()``. Parameters that
    were frozen before are not changed, also not at the end.

    The optimizer must have the parameters, so build it before the training begins. DistributedDataParallel must look
    for unused parameters (``find_unused_parameters=True``, which DefaultTrainer sets): otherwise it waits without end
    for their gradients.

    Args:
        model: the model that trains; a wrapped one is checked and unwrapped.
        freeze_layers: names of modules, such as "backbone" or "backbone.conv1".
        freeze_iters: number of steps; 0 freezes nothing and logs a warning.

    Raises:
        ValueError: a module does not exist, or the model's DistributedDataParallel would wait for a gradient.
    """

    def __init__(self, model: nn.Module, freeze_layers: Sequence[str], freeze_iters: int) -> None:
        wrapped = isinstance(model, DistributedDataParallel)
        if freeze_iters and wrapped and (model.static_graph or not model.find_unused_parameters):
            raise ValueError(
                "frozen parameters get no gradient, and DistributedDataParallel would wait for it: make it with "
                "find_unused_parameters=True (DDP.FIND_UNUSED_PARAMETERS) and without a static graph"
            )
        self._frozen_modules = [_module(unwrap(model), name) for name in freeze_layers]
        self._freeze_iters = freeze_iters
        if freeze_layers and not freeze_iters:
            logger.warning("MODEL.FREEZE_LAYERS train from the first step on: SOLVER.FREEZE_ITERS is 0")
        self._parameters: list[nn.Parameter] = []
        self._norms: list[nn.Module] = []
        self.is_frozen = False

    def before_train(self) -> None:
        """Freeze if the first step of this run is before `freeze_iters`."""
        self._follow(self.trainer.start_iter)

    def before_step(self) -> None:
        """Unfreeze at step `freeze_iters`; before that, set batch normalisation to eval mode again."""
        if self.is_frozen:
            self._follow(self.trainer.iter)
            for norm in self._norms:
                norm.training = False

    def after_train(self) -> None:
        """Unfreeze, so that the model can be trained again."""
        self._thaw()

    def _follow(self, iteration: int) -> None:
        if iteration >= self._freeze_iters:
            self._thaw()
        elif not self.is_frozen:
            self._freeze()

    def _freeze(self) -> None:
        modules = list(dict.fromkeys(inner for module in self._frozen_modules for inner in module.modules()))
        self._parameters = [p for module in modules for p in module.parameters(recurse=False) if p.requires_grad]
        self._norms = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
        for parameter in self._parameters:
            parameter.requires_grad_(False)
            parameter.grad = None
        for norm in self._norms:
            norm.training = False
        self.is_frozen = True
        logger.info("Frozen up to iteration %d: %d tensors of weights", self._freeze_iters, len(self._parameters))

    def _thaw(self) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(True)
        for norm in self._norms:
            norm.training = True
        if self.is_frozen:
            logger.info("Thawed %d tensors of weights", len(self._parameters))
        self._parameters, self._norms, self.is_frozen = [], [], False


def _module(model: nn.Module, name: str) -> nn.Module:
    modules = {key: module for key, module in model.named_modules() if key}
    if name not in modules:
        raise ValueError(f"MODEL.FREEZE_LAYERS: {unknown(f'module of {type(model).__name__}', name, modules)}")
    return modules[name]
