import csv
import json

import pytest
import torch

from steploop.engine import CSVWriter, EventStorage, JSONWriter, hooks
from steploop.engine.metrics import names
from tiny import TinyModel, tiny_trainer


@pytest.fixture(autouse=True)
def warn_again():
    names._warn.cache_clear()


def latest(trainer):
    return {name: value for name, (value, _) in trainer.storage.latest().items()}


@pytest.mark.parametrize("name", sorted(names.RESERVED))
def test_a_metric_of_the_model_never_takes_a_name_of_the_engine(name, caplog):
    trainer = tiny_trainer(model=TinyModel(metrics=(name,)))
    trainer.register_hooks([hooks.IterationTimer(warmup_iter=0), hooks.EpochRecorder(10.0, 1)])
    trainer.train(0, 3)
    values = latest(trainer)
    loss = trainer.storage.history("total_loss").values()[-1][0]
    assert values[f"metric/{name}"] == pytest.approx(10 * loss)
    assert values.get(name) != pytest.approx(10 * loss)
    assert sum(repr(name) in record.getMessage() for record in caplog.records) == 1


def test_a_loss_with_the_name_of_the_sum():
    trainer = tiny_trainer(model=TinyModel(losses=("total_loss", "other")))
    trainer.train(0, 2)
    values = latest(trainer)
    assert values["total_loss"] == pytest.approx(3 * values["metric/total_loss"])


def test_results_of_an_evaluation():
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.EvalHook(0, lambda: {"time": 1e6, "iteration": 7, "set": {"time": 3.0}})])
    trainer.train(0, 2)
    values = latest(trainer)
    assert (values["metric/time"], values["metric/iteration"], values["set/time"]) == (1e6, 7.0, 3.0)
    assert "iteration" not in values


def test_the_validation_loss():
    trainer = tiny_trainer(model=TinyModel(losses=("total_loss", "other")))
    trainer.register_hooks([hooks.ValidationLoss(0, trainer.model, [torch.ones(4, 3)])])
    trainer.train(0, 1)
    values = latest(trainer)
    assert values["validation/total_loss"] == pytest.approx(3 * values["validation/metric/total_loss"])


def test_the_columns_of_the_files_are_theirs(tmp_path):
    with EventStorage(5) as storage:
        storage.put_scalar("iteration", torch.tensor(1234.0))
        for writer in (JSONWriter(tmp_path / "a.json"), CSVWriter(tmp_path / "a.csv")):
            writer.write()
            writer.close()
    assert json.loads((tmp_path / "a.json").read_text()) == {"iteration": 5, "metric/iteration": 1234.0}
    assert list(csv.reader((tmp_path / "a.csv").open()))[1] == ["5", "metric/iteration", "1234.0"]
