"""Weights & Biases."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from steploop.config import CfgNode

from .tracker import Tracker


class WandbWriter(Tracker):
    """Logs to Weights & Biases, as its environment variables say (WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE, ...).

    With ``WANDB_MODE=offline`` nothing is sent: the run is in OUTPUT_DIR/wandb (or WANDB_DIR), to be sent later with
    ``wandb sync``. WANDB_NAME takes the place of the run's name. A resumed run continues the run of its checkpoint;
    offline it is a second folder with the same id.

    Weights & Biases takes no step twice: what a killed run logged after its last checkpoint stays as it was.

    Args:
        cfg: the config of the run.
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(cfg, "wandb")
        self._run: Any = None

    def start(self, run_id: str | None) -> tuple[str, int]:
        """Start or continue the run; raises what `wandb.init` does, as where nobody is logged in."""
        self._run = self.tool.init(
            id=run_id,
            resume="allow",
            name=os.environ.get("WANDB_NAME") or self.run_name,
            dir=os.environ.get("WANDB_DIR") or self.cfg.OUTPUT_DIR,
            config=self.cfg.to_dict(),
            allow_val_change=True,  # a resumed run may have another learning rate
        )
        return self._run.id, self._run.starting_step - 1

    def log(self, iteration: int, scalars: Mapping[str, float], pictures: Mapping[str, np.ndarray]) -> None:
        """Hand over one step, completed: a run that is killed has it."""
        images = {name: self.tool.Image(pixels) for name, pixels in pictures.items()}
        self._run.log({**scalars, **images}, step=iteration, commit=True)

    def finish(self, *, is_success: bool) -> None:
        """End the run as finished or failed; online, this waits until everything is sent."""
        self._run.finish(exit_code=0 if is_success else 1)
