"""MLflow."""

import importlib
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steploop.config import CfgNode
from steploop.config.nested import leaves

from .tracker import Tracker

# The tag with the last iteration that was logged: MLflow itself would take one twice.
LAST = "steploop.last_iteration"
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_./ -]")


class MLflowWriter(Tracker):
    """Logs to MLflow, as its environment variables say (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, ...).

    Without MLFLOW_TRACKING_URI the store is the run's own: an SQLite file and pictures in OUTPUT_DIR/mlflow, which
    ``mlflow ui --backend-store-uri sqlite:///OUTPUT_DIR/mlflow/mlflow.db`` shows. Nothing is sent then: MLflow's usage
    statistics are switched off, unless MLFLOW_DISABLE_TELEMETRY says otherwise. Making that file takes some seconds,
    at the first write of a run.

    The config is logged as parameters, which MLflow never changes, and as config.yaml, which a resumed run replaces.
    Characters that MLflow does not take in a name become "_". What a killed run logged after its last checkpoint stays
    as it was.

    Args:
        cfg: the config of the run.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self._has_own_store = not os.environ.get("MLFLOW_TRACKING_URI")
        if self._has_own_store:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
        super().__init__(cfg, "mlflow")
        self._entities = importlib.import_module("mlflow.entities")
        self._client: Any = None

    def start(self, run_id: str | None) -> tuple[str, int]:
        """Start or continue the run; raises what MLflow does, as where the store cannot be reached."""
        folder = Path(self.cfg.OUTPUT_DIR, "mlflow").resolve()
        if self._has_own_store:
            folder.mkdir(parents=True, exist_ok=True)
        self._client = self.tool.MlflowClient(f"sqlite:///{folder}/mlflow.db" if self._has_own_store else None)
        if run_id is None:
            run = self._client.create_run(self._experiment(folder), run_name=self.run_name)
            run_id = str(run.info.run_id)
            params = [self._entities.Param(key, str(value)) for key, value in leaves(self.cfg)]
            self._client.log_batch(run_id, params=params)
        else:
            self._client.update_run(run_id, status="RUNNING")
            run = self._client.get_run(run_id)
        self.run_id = run_id
        self._client.log_text(run_id, self.cfg.dump(), "config.yaml")
        return run_id, int(run.data.tags.get(LAST, -1))

    def log(self, iteration: int, scalars: Mapping[str, float], pictures: Mapping[str, np.ndarray]) -> None:
        """Log the scalars of an iteration in one call, and each picture as an artifact."""
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(_name(name), value, now, iteration) for name, value in scalars.items()]
        tags = [self._entities.RunTag(LAST, str(iteration))]
        self._client.log_batch(self.run_id, metrics=metrics, tags=tags)
        for name, pixels in pictures.items():
            self._client.log_image(self.run_id, pixels, key=_name(name), step=iteration)

    def finish(self, *, is_success: bool) -> None:
        """End the run as finished or failed."""
        self._client.set_terminated(self.run_id, status="FINISHED" if is_success else "FAILED")

    def _experiment(self, folder: Path) -> str:
        """Return the id of the experiment, made if it is missing."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "steploop"
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None:
            return experiment.experiment_id
        artifacts = (folder / "artifacts").as_uri() if self._has_own_store else None
        return self._client.create_experiment(name, artifact_location=artifacts)


def _name(name: str) -> str:
    return _NOT_IN_A_NAME.sub("_", name)
