import json
import math

import pytest
import torch
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from torch import nn
from torch.utils.data import DataLoader

import exact_runs
from steploop.data import TrainLoader
from steploop.engine import JSONWriter, PeriodicWriter, TensorboardXWriter, ValidationLoss, get_event_storage
from steploop.engine.hooks.validation_loss import count_samples
from tiny import TinyModel, tiny_trainer

HELD_OUT = [torch.full((3, 3), 1.0), torch.full((1, 3), 5.0)]  # three samples and one


class Restless(nn.Module):
    """All that a pass in training mode could change: statistics, a queue, random numbers, metrics."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("queue", torch.zeros(4, 3))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, batch):
        self.queue = batch[:1].expand(4, 3).clone()
        self.count += len(batch)
        get_event_storage().put_scalar("seen", 1.0)
        noise = nn.functional.dropout(batch, 0.5, training=self.training)
        value = (self.drop(self.norm(self.layer(batch + noise))) - 1).square().mean()
        return {"loss": value}, {"twice": 2 * value.detach()}


def validation(loader, period=2, steps=6, model=None, **kwargs):
    trainer = tiny_trainer(model=model)
    trainer.register_hooks([ValidationLoss(period, trainer.model, loader, **kwargs)])
    trainer.train(0, steps)
    return trainer


@pytest.mark.parametrize("steps, at", [(6, [1, 3, 5]), (7, [1, 3, 5, 6])])
def test_it_is_measured_every_period_and_at_the_last_step(steps, at):
    trainer = validation(HELD_OUT, steps=steps)
    assert [step for _, step in trainer.storage.history("validation/total_loss").values()] == at


def test_the_mean_is_over_samples():
    trainer = validation(HELD_OUT, model=TinyModel(("a", "b"), ("accuracy",)))
    with torch.no_grad():
        first, second = (trainer.model.layer(batch).square().mean().item() for batch in HELD_OUT)
    mean = (3 * first + second) / 4
    found = {name: value for name, (value, _) in trainer.storage.latest().items() if name.startswith("validation/")}
    assert found == pytest.approx(
        {
            "validation/total_loss": 3 * mean,
            "validation/a": mean,
            "validation/b": 2 * mean,
            "validation/accuracy": 10 * mean,
        }
    )


def test_the_training_notices_nothing():
    def run(with_hook):
        torch.manual_seed(1)
        trainer = tiny_trainer(model=Restless())  # without a seed: a single draw more would change what follows
        if with_hook:
            loader = DataLoader(torch.randn(7, 3, generator=torch.Generator().manual_seed(5)), 3, shuffle=True)
            trainer.register_hooks([ValidationLoss(2, trainer.model, loader)])
        trainer.train(0, 6)
        values = {name: trainer.storage.history(name).values() for name in ("total_loss", "twice", "seen")}
        return trainer.model.state_dict(), values, torch.get_rng_state(), trainer.model.training

    (state, *rest), (other_state, *other_rest) = run(True), run(False)
    assert all(torch.equal(state[name], other_state[name]) for name in other_state)
    assert rest[0] == other_rest[0]
    assert torch.equal(rest[1], other_rest[1]) and rest[2] and other_rest[2]


def test_nothing_is_dropped_and_normalisation_is_that_of_an_evaluation():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.drop, self.layer = nn.BatchNorm1d(3), nn.Dropout(0.9), nn.Linear(3, 1)

        def forward(self, batch):
            return self.layer(self.drop(self.norm(batch))).square().mean()

    trainer = validation([HELD_OUT[1]], model=Model())
    trainer.model.eval()
    expected = trainer.model(HELD_OUT[1]).item()
    assert trainer.storage.latest()["validation/total_loss"][0] == pytest.approx(expected)


def test_frozen_modules_stay_in_eval_mode():
    trainer = tiny_trainer(model=Restless())
    trainer.model.norm.eval()
    trainer.register_hooks([ValidationLoss(2, trainer.model, HELD_OUT[:1])])
    trainer.train(0, 2)
    assert not trainer.model.norm.training and trainer.model.drop.training


def test_modes_and_buffers_come_back_after_an_error():
    def broken():
        raise OSError("no such file")

    class Broken(list):
        def __iter__(self):
            yield torch.zeros(2, 3)
            broken()

    trainer = tiny_trainer(model=Restless())
    trainer.register_hooks([ValidationLoss(1, trainer.model, Broken())])
    with pytest.raises(OSError, match="no such file"):
        trainer.train(0, 1)
    assert all(module.training for module in trainer.model.modules())
    assert trainer.model.count == 4  # the samples of the only step


def test_tensorboard_has_both_lines_in_one_plot(tmp_path):
    trainer = tiny_trainer()
    writers = [TensorboardXWriter(tmp_path), JSONWriter(tmp_path / "metrics.json")]
    trainer.register_hooks([ValidationLoss(2, trainer.model, HELD_OUT), PeriodicWriter(writers, 1)])
    trainer.train(0, 4)
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    # A plot is a name; its lines are the runs that have it.
    lines = {run: [point.step for point in runs.Scalars(run, "total_loss")] for run in runs.Runs()}
    assert lines == {".": [0, 1, 2, 3], "validation": [1, 3]}
    assert runs.Runs()["validation"]["scalars"] == ["total_loss"]
    assert "validation/total_loss" not in runs.Runs()["."]["scalars"]
    assert "validation/total_loss" in json.loads((tmp_path / "metrics.json").read_text().splitlines()[1])


def test_after_a_resume_later_points_are_hidden_in_both(tmp_path):
    def train(start, max_iter, state=None):
        trainer, writer = tiny_trainer(), TensorboardXWriter(tmp_path, filename_suffix=f".{start}")
        if state:
            writer.load_state_dict(state)
        hooks = [ValidationLoss(1, trainer.model, [torch.full((2, 3), float(start))]), PeriodicWriter([writer], 1)]
        trainer.register_hooks(hooks)
        trainer.train(start, max_iter)

    train(0, 4)
    train(2, 3, {"last_write": 1})
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    assert [[p.step for p in runs.Scalars(run, "total_loss")] for run in (".", "validation")] == [[0, 1, 2]] * 2


def test_a_loss_that_is_not_finite_does_not_end_the_run():
    trainer = validation([torch.full((1, 3), math.inf)], period=1)
    assert trainer.iter == 6
    assert not math.isfinite(trainer.storage.latest()["validation/total_loss"][0])


def test_a_loader_without_an_end_or_without_a_batch_is_an_error():
    with pytest.raises(TypeError, match="got generator, which has none"):
        ValidationLoss(1, TinyModel(), (batch for batch in HELD_OUT))
    with pytest.raises(TypeError, match="got TrainLoader"):
        ValidationLoss(1, TinyModel(), TrainLoader.__new__(TrainLoader))
    with pytest.raises(ValueError, match="no batch"):
        validation([])


@pytest.mark.parametrize(
    "batch, count",
    [
        (torch.zeros(5, 2), 5),
        ({"x": torch.zeros(5, 2), "name": ["a"] * 5}, 5),
        ([torch.zeros(5, 2), torch.zeros(5)], 5),
        ([{"image": torch.zeros(3, 4, 4)}] * 2, 2),
        ([torch.zeros(3, 4), torch.zeros(2, 4)], 2),
    ],
)
def test_how_samples_are_counted(batch, count):
    assert count_samples(batch) == count


def test_a_batch_that_cannot_be_counted_needs_a_function():
    with pytest.raises(TypeError, match="num_samples"):
        count_samples(object())
    trainer = validation(HELD_OUT, num_samples=lambda batch: 1)
    with torch.no_grad():
        first, second = (trainer.model.layer(batch).square().mean().item() for batch in HELD_OUT)
    assert trainer.storage.latest()["validation/total_loss"][0] == pytest.approx((first + second) / 2)


VALIDATED = ("DATASETS.VAL", "('tiny',)", "TEST.LOSS_PERIOD", 2, "TEST.IMS_PER_BATCH", 16)


def test_the_config_turns_it_on_and_a_resumed_run_ends_in_the_same_bits(tmp_path):
    best = ("TEST.BEST", "[['validation/total_loss', 'min']]")
    whole = exact_runs.train(tmp_path / "whole", *VALIDATED, *best)
    assert len(whole.storage.history("validation/total_loss").values()) == exact_runs.STEPS / 2
    for kill in (("before_step", 4), ("saved", 5), ("after_step", 10)):
        exact_runs.train(tmp_path / "run", *VALIDATED, *best, kill=kill)
    exact_runs.train(tmp_path / "run", *VALIDATED, *best)
    assert exact_runs.differences(tmp_path / "run", tmp_path / "whole") == []
    assert (tmp_path / "run" / "model_best.pth").exists()
    plain = exact_runs.train(tmp_path / "plain")
    state, without = whole.model.state_dict(), plain.model.state_dict()
    assert all(torch.equal(state[name], without[name]) for name in without)


def test_it_is_computed_in_the_precision_of_the_training(tmp_path):
    dtypes = set()
    trainer = exact_runs.prepare(tmp_path / "run", *VALIDATED, *exact_runs.BFLOAT16)
    trainer.model.layers[0].register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    trainer.train()
    assert dtypes == {torch.bfloat16}
