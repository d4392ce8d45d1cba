import os
from types import SimpleNamespace

import torch

from steploop.projects.trackers import mlflow_writer
from tiny_project import TinyTrainer, tiny_cfg


def cfg_of(folder, *overrides):
    return tiny_cfg(folder, "WRITERS", "('json', 'steploop.projects.trackers:mlflow_writer')", *overrides)


def only_run(mlflow) -> SimpleNamespace:
    ((run,),) = [store.runs.values() for store in mlflow.stores.values()]
    return run


def steps(run, name="total_loss"):
    return [step for key, _, step in run.data.metrics if key == name]


def test_a_run_has_the_config_its_name_and_its_metrics(tmp_path, mlflow):
    TinyTrainer(cfg_of(tmp_path / "my run")).train()
    run = only_run(mlflow)
    assert run.info.name == "my run" and run.info.status == "FINISHED"
    assert run.data.params["SOLVER.MAX_ITER"] == "10"
    assert run.data.params["DATASETS.TRAIN"] == "('tiny',)"
    assert "MAX_ITER: 10" in run.data.files["config.yaml"]
    assert steps(run) == [1, 3, 5, 7, 9]


def test_without_a_server_the_store_is_below_the_output(tmp_path, mlflow):
    mlflow_writer(tiny_cfg(tmp_path / "run")).start(None)
    folder = (tmp_path / "run/mlflow").resolve()
    assert folder.is_dir()
    (uri,) = mlflow.stores
    assert uri == f"sqlite:///{folder}/mlflow.db"
    assert mlflow.stores[uri].experiments["steploop"].artifacts == (folder / "artifacts").as_uri()


def test_without_a_server_nothing_is_sent(tmp_path, mlflow, monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    mlflow_writer(tiny_cfg(tmp_path))
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    mlflow_writer(tiny_cfg(tmp_path))
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def test_variables_say_where_to(tmp_path, mlflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    for _ in range(2):
        mlflow_writer(tiny_cfg(tmp_path / "run")).start(None)
    store = mlflow.stores[None]  # the client reads the variable itself
    assert list(store.experiments) == ["mine"] and store.experiments["mine"].artifacts is None
    assert {run.experiment_id for run in store.runs.values()} == {"0"} and len(store.runs) == 2
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_is_the_same_run_and_logs_no_step_twice(tmp_path, mlflow):
    TinyTrainer(cfg_of(tmp_path / "run")).train()
    (tmp_path / "run/last_checkpoint").write_text("model_0000003.pth")
    for name in ("model_final.pth", "model_0000007.pth"):
        (tmp_path / "run" / name).unlink()
    resumed = TinyTrainer(cfg_of(tmp_path / "run", "SOLVER.MAX_ITER", 14))
    resumed.resume_or_load()
    assert resumed.start_iter == 4
    resumed.train()
    run = only_run(mlflow)
    assert steps(run) == [1, 3, 5, 7, 9, 11, 13]
    assert run.data.params["SOLVER.MAX_ITER"] == "10"  # of the first; the file has what holds now
    assert "MAX_ITER: 14" in run.data.files["config.yaml"]
    assert run.info.status == "FINISHED"


def test_pictures_and_names(tmp_path, mlflow):
    writer = mlflow_writer(tiny_cfg(tmp_path))
    writer.start(None)
    assert only_run(mlflow).info.status == "RUNNING"
    writer.log(7, {"[metric]a/b": 1.0}, {"of: é": torch.zeros(4, 5, 3).byte().numpy()})
    writer.finish(is_success=False)
    run = only_run(mlflow)
    assert run.data.metrics == [("_metric_a/b", 1.0, 7)]
    assert run.data.images == [("of_ _", 7, (4, 5, 3))]
    assert run.info.status == "FAILED"


def test_a_store_that_breaks_does_not_end_the_training(tmp_path, mlflow, caplog):
    trainer = TinyTrainer(cfg_of(tmp_path / "run"))
    real = mlflow.MlflowClient

    def client(uri):
        store = real(uri)
        log_batch = store.log_batch
        store.log_batch = lambda run_id, *, metrics=(), **kwargs: log_batch(
            run_id, metrics=[1 / 0] if metrics else (), **kwargs
        )
        return store

    mlflow.MlflowClient = client
    trainer.train()
    assert trainer.iter == 10
    assert caplog.text.count("Logging to mlflow failed") == 1
    assert "ZeroDivisionError" in caplog.text


def test_a_server_that_cannot_be_reached_is_reported_and_the_training_goes_on(tmp_path, mlflow, caplog):
    mlflow.broken = ConnectionError("no such server")
    trainer = TinyTrainer(cfg_of(tmp_path / "run"))
    trainer.train()
    assert trainer.iter == trainer.max_iter
    assert "the metrics of MLflowWriter could not be written" in caplog.text and "no such server" in caplog.text
