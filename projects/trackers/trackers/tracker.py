"""What the writers of all trackers share."""

import importlib
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import Tensor

from steploop.config import CfgNode
from steploop.engine.metrics.writers import NewValuesWriter

from .courier import Courier

# The longest that a checkpoint waits for what was logged before it, and the end of a run for what is still to be sent.
FLUSH_SECONDS = 5.0
CLOSE_SECONDS = 60.0


class Tracker(NewValuesWriter):
    """A run in an experiment tracker: it is started at the first write, continued by a resumed run, and ended.

    The scalars of an iteration are those of metrics.json and go there in one call, with its pictures. Calls are made in
    a thread; one that fails is a warning, and the training goes on. A run that cannot be started is an error.

    A subclass says how to start, log and finish. Its tool's own environment variables say where to.

    Args:
        cfg: the config of the run, which is logged with it; the run has the name of OUTPUT_DIR.
        module: the tool's package.

    Raises:
        RuntimeError: the package is not installed.
    """

    def __init__(self, cfg: CfgNode, module: str) -> None:
        super().__init__()
        self.cfg = cfg
        self.run_name = Path(cfg.OUTPUT_DIR).resolve().name
        self.tool = load_tool(module)
        self.run_id: str | None = None
        self._logged = -1
        self._courier: Courier | None = None
        self._outer_error: BaseException | None = None

    # -- what a subclass says -----------------------------------------------------------------------

    def start(self, run_id: str | None) -> tuple[str, int]:
        """Start a run, or continue one; whatever it raises ends the training.

        Args:
            run_id: of the run that the checkpoint knows of; None starts a new one.

        Returns:
            The run's id, and the last iteration that the tracker has values of, -1 for none.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement start(run_id)")

    def log(self, iteration: int, scalars: Mapping[str, float], pictures: Mapping[str, np.ndarray]) -> None:
        """Log what belongs to one iteration; pictures are (H, W, 3), RGB, uint8. Called in a thread."""
        raise NotImplementedError(f"{type(self).__name__} must implement log(iteration, scalars, pictures)")

    def finish(self, *, is_success: bool) -> None:
        """End the run; False says that the training failed."""
        raise NotImplementedError(f"{type(self).__name__} must implement finish(is_success=...)")

    # -- what a writer does -------------------------------------------------------------------------

    def write(self) -> None:
        """Hand over the scalars and pictures since the last write."""
        if self._courier is None:
            self._outer_error = sys.exception()
            self.run_id, self._logged = self.start(self.run_id)
            # A run that was killed logged more than its checkpoint knows of. The resumed one computes the same values.
            self._last_write = max(self._last_write, self._logged)
            self._courier = Courier(self.tool.__name__)
        scalars = dict(self.new_scalars())
        pictures: dict[int, dict[str, np.ndarray]] = {}
        for name, image, iteration in self.new_images():
            if iteration > self._logged:
                pictures.setdefault(iteration, {})[name] = to_pixels(image)
        for iteration in sorted(scalars.keys() | pictures.keys()):
            self._courier.put(partial(self.log, iteration, scalars.get(iteration, {}), pictures.get(iteration, {})))

    def flush(self) -> None:
        """Wait for what was logged, for a moment: a checkpoint is worth more than the tracker."""
        if self._courier is not None:
            self._courier.flush(FLUSH_SECONDS)

    def close(self) -> None:
        """End the run as a success, or as a failure where an exception ends the training."""
        if self._courier is None:
            return
        courier, self._courier = self._courier, None
        # The trainer closes its writers while the exception is handled that ended the run, and tells them nothing else.
        is_success = sys.exception() is self._outer_error
        if courier.close(CLOSE_SECONDS):
            try:
                self.finish(is_success=is_success)
            except Exception as error:  # as above: what a tool raises must not cost the results of a run
                courier.warn(f"{type(error).__name__}: {error}")

    def state_dict(self) -> dict[str, Any]:
        """Return the iteration of the last value that was written, and the run's id."""
        return {**super().state_dict(), "run_id": self.run_id}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the run of the checkpoint, after the last value that the checkpoint knows of."""
        super().load_state_dict(state)
        self.run_id = state["run_id"]


def load_tool(module: str) -> ModuleType:
    """Return an imported package of the extra "trackers".

    Raises:
        RuntimeError: it, or what it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"WRITERS: {module!r} needs the package {error.name}: pip install -e '.[trackers]'"
        ) from error


def to_pixels(image: Tensor) -> np.ndarray:
    """Return a picture of `put_image`, (3, H, W), as (H, W, 3) of uint8; floats in 0..1 are multiplied by 255."""
    if image.is_floating_point():
        image = image.clamp(0, 1).mul(255).round().byte()
    return image.permute(1, 2, 0).numpy(force=True)
