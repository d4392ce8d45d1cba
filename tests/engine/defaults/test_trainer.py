import json

import pytest
import torch

from steploop.engine import DefaultTrainer, HookBase, hooks
from steploop.engine.checkpoint import read_checkpoint
from tiny_project import TinyTrainer, tiny_cfg


@pytest.fixture
def build(tmp_path):
    def build(*overrides, cls=TinyTrainer):
        torch.manual_seed(0)
        cfg = tiny_cfg(tmp_path / "run", *overrides)
        cfg.freeze()
        return cls(cfg)

    return build


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def lasting(path):
    """The lines without what depends on the clock."""
    volatile = {"time", "data_time", "eta_seconds"}
    return [{key: value for key, value in line.items() if key not in volatile} for line in lines(path)]


def test_a_run_writes_checkpoints_metrics_and_tensorboard(build, tmp_path):
    trainer = build("DATASETS.TEST", "('tiny',)")
    results = trainer.train()
    assert list(results) == ["tiny"] and list(results["tiny"]) == ["mean"]
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"model_0000003.pth", "model_0000007.pth", "model_final.pth", "last_checkpoint", "metrics.json"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    written = lines(tmp_path / "run" / "metrics.json")
    assert [line["iteration"] for line in written] == [1, 3, 5, 7, 9, 10]
    assert written[-1] == {"iteration": 10, "tiny/mean": results["tiny"]["mean"]}


def test_after_backward_fires(build):
    calls = []

    class Sees(HookBase):
        def after_backward(self):
            calls.append(self.trainer.iter)

    trainer = build()
    trainer.register_hooks([Sees()])
    trainer.train()
    assert calls == list(range(10))


def test_the_layout_of_a_checkpoint_is_detectron2s(build, tmp_path):
    build().train()
    checkpoint = read_checkpoint(tmp_path / "run" / "model_final.pth")
    assert checkpoint["iteration"] == checkpoint["trainer"]["iteration"] == 9
    assert {"model", "trainer", "iteration"} <= checkpoint.keys()
    assert "optimizer" in checkpoint["trainer"]["_trainer"]
    assert "LRScheduler" in checkpoint["trainer"]["hooks"]


def test_a_resumed_run_ends_in_the_same_bits(build, tmp_path):
    def finish(trainer):
        trainer.train()
        return trainer.model.layer.weight.detach().clone(), lasting(tmp_path / "run" / "metrics.json")

    weight, metrics = finish(build())
    for path in (tmp_path / "run").iterdir():
        path.unlink()

    stopped = build()
    stopped.register_hooks([hooks.CallbackHook(after_step=lambda t: t.iter == 4 and t.request_stop("test"))])
    stopped.train()
    resumed = build()
    resumed.resume_or_load()
    assert resumed.start_iter == 5
    resumed_weight, resumed_metrics = finish(resumed)
    assert torch.equal(weight, resumed_weight)
    assert metrics == resumed_metrics


def test_a_changed_learning_rate_takes_effect_on_resume(build):
    build("SOLVER.MAX_ITER", 4).train()
    trainer = build("SOLVER.BASE_LR", 0.5, "SOLVER.WEIGHT_DECAY", 0.25, "SOLVER.MAX_ITER", 6)
    trainer.resume_or_load()
    trainer.train()
    assert trainer.storage.history("lr").values()[-2:] == [(0.5, 4), (0.5, 5)]
    assert trainer.optimizer.param_groups[0]["weight_decay"] == 0.25


def test_weights_alone_are_loaded_without_resume(build, tmp_path):
    first = build()
    first.train()
    second = build("MODEL.WEIGHTS", tmp_path / "run" / "model_final.pth")
    second.resume_or_load(resume=False)
    assert second.start_iter == 0
    assert torch.equal(second.model.layer.weight, first.model.layer.weight)
    assert not second.optimizer.state


def test_settings_of_the_config_reach_the_step(build):
    trainer = build("SOLVER.ACCUMULATE", 2, "SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "bfloat16",
                    "SOLVER.CLIP_GRADIENTS.ENABLED", True)  # fmt: skip
    trainer.train()
    assert trainer._trainer.accumulate == 2
    assert trainer._trainer.precision is torch.bfloat16
    assert "grad_norm" in trainer.storage.latest()
    assert trainer.data_loader.batch_sampler.micro_batches == 2


def test_setters_reach_the_inner_trainer(build):
    trainer = build()
    model, optimizer, loader = trainer.model, trainer.optimizer, trainer.data_loader
    trainer.model, trainer.optimizer, trainer.data_loader = model, optimizer, loader
    assert (trainer._trainer.model, trainer._trainer.optimizer) == (model, optimizer)


def test_several_test_sets_are_told_apart(build):
    trainer = build("DATASETS.TEST", "('tiny', 'tiny')")
    with pytest.raises(ValueError, match="2 test sets need as many evaluators; got 0"):
        trainer.test(trainer.cfg, trainer.model, evaluators=[])


def test_results_that_were_expected_and_not_met_are_an_error(build):
    trainer = build("DATASETS.TEST", "('tiny',)", "TEST.EXPECTED_RESULTS", "[['tiny', 'mean', -5.0, 0.1]]")
    with pytest.raises(ValueError, match="mean"):
        trainer.train()


def test_a_trainer_without_an_evaluator_says_what_to_implement(build):
    class Plain(DefaultTrainer):
        build_model = TinyTrainer.build_model

    with pytest.raises(NotImplementedError, match="implement build_evaluator"):
        build("DATASETS.TEST", "('tiny',)", cls=Plain).train()


def test_no_training_set_is_an_error_that_names_the_key(build):
    with pytest.raises(ValueError, match="DATASETS.TRAIN is empty"):
        build("DATASETS.TRAIN", "()")


def test_a_finished_run_is_not_run_again_and_evaluated_only_if_that_is_missing(build, tmp_path, caplog):
    results = build("DATASETS.TEST", "('tiny',)").train()
    written = lasting(tmp_path / "run" / "metrics.json")

    def again():
        trainer = build("DATASETS.TEST", "('tiny',)")
        trainer.resume_or_load()
        return trainer, trainer.train()

    with caplog.at_level("INFO"):
        trainer, found = again()
    assert found == results
    assert "This run is finished: iteration 9 of 10" in caplog.text and "Nothing to do" in caplog.text
    assert not hasattr(trainer, "storage")
    (tmp_path / "run" / "results.json").unlink()
    trainer, found = again()
    assert found == results and trainer.iter == 10
    assert lasting(tmp_path / "run" / "metrics.json") == written


def test_an_interrupted_run_ends_with_the_code_for_requeueing(build):
    trainer = build()
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: t.request_stop("signal", requeue=True))])
    with pytest.raises(SystemExit) as ended:
        trainer.train()
    assert ended.value.code == hooks.REQUEUE_EXIT_CODE == 75


def test_the_time_limit_stops_the_run(build, monkeypatch, tmp_path):
    clock = iter(range(1000))
    monkeypatch.setattr("steploop.engine.hooks.stopping.time.monotonic", lambda: next(clock))
    trainer = build("SOLVER.MAX_SECONDS", 3)
    with pytest.raises(SystemExit):
        trainer.train()
    assert trainer.completed_iter == 2
    assert (tmp_path / "run" / "model_0000002.pth").exists()


def test_a_loss_that_is_not_finite_leaves_its_samples_and_no_later_checkpoint(build, tmp_path):
    trainer = build("LOG_PERIOD", 20)

    def poison(trainer):
        if trainer.iter == 5:
            trainer.model.layer.weight.data.fill_(float("nan"))

    trainer.register_hooks([hooks.CallbackHook(before_step=poison)])
    with pytest.raises(FloatingPointError, match="iteration=5"):
        trainer.train()
    report = json.loads((tmp_path / "run" / "nonfinite_5_rank0.json").read_text())
    assert report["iteration"] == 5 and report["losses"] == {"total_loss": "nan"}
    assert len(report["samples"]) == 4 and all("tensor" in sample for sample in report["samples"])
    assert sorted(path.name for path in (tmp_path / "run").glob("*.pth")) == ["model_0000003.pth"]


def test_the_average_is_what_is_evaluated_and_survives_a_resume(build, tmp_path):
    overrides = (
        "DATASETS.TEST",
        "('tiny',)",
        "SOLVER.EMA.ENABLED",
        True,
        "SOLVER.EMA.DECAY",
        0.9,
        "SOLVER.BASE_LR",
        0.1,
    )
    trainer = build(*overrides)
    results = trainer.train()
    weight = trainer.model.layer.weight.detach().clone()
    with trainer.ema.applied():
        assert not torch.equal(trainer.model.layer.weight, weight)
    assert torch.equal(trainer.model.layer.weight, weight)
    plain = build("DATASETS.TEST", "('tiny',)", "MODEL.WEIGHTS", tmp_path / "run" / "model_final.pth")
    plain.resume_or_load(resume=False)
    averaged = build(*overrides, "MODEL.WEIGHTS", tmp_path / "run" / "model_final.pth")
    averaged.resume_or_load(resume=False)
    assert averaged.evaluate() == results != plain.evaluate()
