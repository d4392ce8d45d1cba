"""Stand-ins for the packages `wandb` and `mlflow` that keep what they are told."""

import itertools
from types import ModuleType, SimpleNamespace
from typing import Any


class FakeWandb(ModuleType):
    """`wandb` with a server that goes on with a run where it is, as the real one does online."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: dict[str, FakeWandbRun] = {}
        self.calls: list[dict[str, Any]] = []  # of init
        self.Image = FakeImage

    def init(self, **kwargs: Any) -> "FakeWandbRun":
        self.calls.append(kwargs)
        run_id = kwargs["id"] or f"run{len(self.runs)}"
        run = self.runs.setdefault(run_id, FakeWandbRun(run_id))
        run.starting_step = max(run.steps, default=-1) + 1
        run.exit_code = None
        return run


class FakeWandbRun:
    def __init__(self, run_id: str) -> None:
        self.id = run_id
        self.starting_step = 0
        self.steps: dict[int, dict[str, Any]] = {}
        self.exit_code: int | None = None
        self.broken: Exception | None = None

    def log(self, data: dict[str, Any], *, step: int, commit: bool) -> None:
        if self.broken:
            raise self.broken
        assert commit and step > max(self.steps, default=-1), "wandb drops a step that is not newer than the last"
        self.steps[step] = data

    def finish(self, *, exit_code: int) -> None:
        if self.broken:
            raise self.broken
        self.exit_code = exit_code


class FakeImage:
    def __init__(self, pixels: Any) -> None:
        self.pixels = pixels


class FakeMlflow(ModuleType):
    """`mlflow` with a client whose stores are in memory, by their URI."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.stores: dict[str | None, FakeStore] = {}
        self.broken: Exception | None = None
        self.entities = ModuleType("mlflow.entities")
        self.entities.Param = lambda key, value: (key, value)
        self.entities.Metric = lambda key, value, timestamp, step: (key, value, step)
        self.entities.RunTag = lambda key, value: (key, value)

    def MlflowClient(self, tracking_uri: str | None) -> "FakeStore":
        return self.stores.setdefault(tracking_uri, FakeStore(self))


class FakeStore:
    def __init__(self, module: FakeMlflow) -> None:
        self.module = module
        self.experiments: dict[str, SimpleNamespace] = {}
        self.runs: dict[str, SimpleNamespace] = {}
        self._numbers = itertools.count()

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        return self.experiments.get(name)

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        experiment_id = str(next(self._numbers))
        self.experiments[name] = SimpleNamespace(experiment_id=experiment_id, artifacts=artifact_location)
        return experiment_id

    def create_run(self, experiment_id: str, run_name: str) -> SimpleNamespace:
        info = SimpleNamespace(run_id=f"run{next(self._numbers)}", status="RUNNING", name=run_name)
        data = SimpleNamespace(tags={}, params={}, metrics=[], files={}, images=[])
        self.runs[info.run_id] = SimpleNamespace(info=info, data=data, experiment_id=experiment_id)
        return self.runs[info.run_id]

    def get_run(self, run_id: str) -> SimpleNamespace:
        return self.runs[run_id]

    def log_batch(self, run_id: str, *, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        if self.module.broken:
            raise self.module.broken
        data = self.runs[run_id].data
        for key, value in params:
            assert data.params.setdefault(key, value) == value, "MLflow never changes a parameter"
        data.metrics += metrics
        data.tags |= dict(tags)

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        self.runs[run_id].data.files[artifact_file] = text

    def log_image(self, run_id: str, image: Any, *, key: str, step: int) -> None:
        self.runs[run_id].data.images.append((key, step, image.shape))

    def update_run(self, run_id: str, status: str) -> None:
        self.runs[run_id].info.status = status

    def set_terminated(self, run_id: str, status: str) -> None:
        self.update_run(run_id, status)
