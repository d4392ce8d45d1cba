import torch

from steploop.engine.checkpoint import read_checkpoint
from steploop.projects.trackers import wandb_writer
from tiny_project import TinyTrainer, tiny_cfg


def cfg_of(folder, *overrides):
    return tiny_cfg(folder, "WRITERS", "('json', 'steploop.projects.trackers:wandb_writer')", *overrides)


def test_a_run_has_the_config_its_name_and_its_metrics(tmp_path, wandb):
    TinyTrainer(cfg_of(tmp_path / "my run")).train()
    (call,) = wandb.calls
    assert (call["id"], call["name"], call["dir"]) == (None, "my run", str(tmp_path / "my run"))
    assert call["resume"] == "allow" and call["allow_val_change"]
    assert call["config"]["SOLVER"]["MAX_ITER"] == 10
    assert not {"project", "entity", "mode"} & call.keys()  # the tool's own variables say these
    (run,) = wandb.runs.values()
    assert list(run.steps) == [1, 3, 5, 7, 9]
    assert {"total_loss", "lr"} <= run.steps[9].keys()
    assert run.exit_code == 0


def test_a_resumed_run_is_the_same_run(tmp_path, wandb):
    TinyTrainer(cfg_of(tmp_path / "run")).train()
    writers = read_checkpoint(tmp_path / "run/model_final.pth")["trainer"]["hooks"]["PeriodicWriter"]
    assert {"last_write": 9, "run_id": "run0"} in writers.values()
    resumed = TinyTrainer(cfg_of(tmp_path / "run", "SOLVER.MAX_ITER", 14))
    resumed.resume_or_load()
    resumed.train()
    assert [call["id"] for call in wandb.calls] == [None, "run0"]
    assert list(wandb.runs["run0"].steps) == [1, 3, 5, 7, 9, 11, 13]


def test_a_killed_run_logs_no_step_twice(tmp_path, wandb, caplog):
    TinyTrainer(cfg_of(tmp_path / "run")).train()
    (tmp_path / "run/last_checkpoint").write_text("model_0000003.pth")
    for name in ("model_final.pth", "model_0000007.pth"):
        (tmp_path / "run" / name).unlink()
    resumed = TinyTrainer(cfg_of(tmp_path / "run", "SOLVER.MAX_ITER", 14))
    resumed.resume_or_load()
    assert resumed.start_iter == 4
    resumed.train()
    assert list(wandb.runs["run0"].steps) == [1, 3, 5, 7, 9, 11, 13]
    assert "failed" not in caplog.text


def test_variables_take_the_place_of_name_and_folder(tmp_path, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_NAME", "named")
    monkeypatch.setenv("WANDB_DIR", "/elsewhere")
    wandb_writer(tiny_cfg(tmp_path)).start(None)
    assert (wandb.calls[0]["name"], wandb.calls[0]["dir"]) == ("named", "/elsewhere")


def test_pictures_are_logged_with_their_step(tmp_path, wandb):
    writer = wandb_writer(tiny_cfg(tmp_path))
    writer.start(None)
    writer.log(7, {"a": 1.0}, {"picture": torch.zeros(4, 5, 3).byte().numpy()})
    writer.finish(is_success=False)
    (run,) = wandb.runs.values()
    assert run.steps[7]["a"] == 1.0
    assert run.steps[7]["picture"].pixels.shape == (4, 5, 3)
    assert run.exit_code == 1


def test_a_tool_that_breaks_does_not_end_the_training(tmp_path, wandb, caplog):
    real = wandb.init

    def init(**kwargs):
        run = real(**kwargs)
        run.broken = BrokenPipeError("the service is gone")
        return run

    wandb.init = init
    trainer = TinyTrainer(cfg_of(tmp_path / "run"))
    trainer.train()
    assert trainer.iter == 10
    assert caplog.text.count("Logging to wandb failed") == 1


def test_where_nobody_is_logged_in_it_is_reported_and_the_training_goes_on(tmp_path, wandb, caplog):
    def init(**kwargs):
        raise PermissionError("no API key configured")

    wandb.init = init
    trainer = TinyTrainer(cfg_of(tmp_path / "run"))
    trainer.train()
    assert trainer.iter == trainer.max_iter
    assert "the metrics of WandbWriter could not be written" in caplog.text and "no API key" in caplog.text
