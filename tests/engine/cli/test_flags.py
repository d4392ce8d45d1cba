import pytest
import torch
import yaml

from steploop.data import DatasetCatalog
from steploop.engine import default_argument_parser, default_setup, setup_config
from steploop.engine.checkpoint import read_checkpoint
from steploop.engine.run.folder import let_go
from steploop.engine.run.logger import close_logger
from tiny_project import TinyTrainer

RUN = [
    *("MODEL.DEVICE", "cpu", "SEED", "3", "DATASETS.TRAIN", "('tiny',)", "DATASETS.TEST", "('tiny',)"),
    *("DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "4", "SOLVER.MAX_ITER", "4"),
    *("SOLVER.WARMUP_ITERS", "0", "SOLVER.STEPS", "()"),
]


@pytest.fixture
def start(tmp_path):
    """Return a function that does what a training script does, below `tmp_path`."""
    folders = []

    def start(flags="", *overrides):
        line = [*flags.split(), *RUN, "OUTPUT_DIR", str(tmp_path / "run"), *overrides]
        args = default_argument_parser().parse_args(line)
        cfg = setup_config(args)
        folders.append(cfg.OUTPUT_DIR)
        default_setup(cfg, args)
        trainer = TinyTrainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        trainer.evaluate() if args.eval_only else trainer.train()
        return trainer

    yield start
    close_logger()
    for folder in folders:
        let_go(tmp_path / folder)


def config_of(line):
    return setup_config(default_argument_parser().parse_args(line.split()))


@pytest.mark.parametrize(
    "line, key, value",
    [
        ("--work-dir here", "OUTPUT_DIR", "here"),
        ("--load-from a.pth", "MODEL.WEIGHTS", "a.pth"),
        ("--seed 0", "SEED", 0),
        ("--seed -1", "SEED", -1),
        ("--deterministic", "DETERMINISTIC", True),
        ("--overfit-batches 3", "DATALOADER.OVERFIT_BATCHES", 3),
    ],
)
def test_a_flag_is_another_name_of_a_key(line, key, value):
    def in_config(line):
        node = config_of(line)
        for part in key.split("."):
            node = node[part]
        return node

    assert in_config(line) == value
    assert in_config(f"{line} {key} {value}") == in_config(f"{line} {key}={value}") == value
    other = {"DETERMINISTIC": "False"}.get(key, "7")
    with pytest.raises(ValueError, match=f"sets {key} to .*say it once"):
        in_config(f"{line} {key} {other}")


def test_a_flag_wins_over_the_file(tmp_path):
    (tmp_path / "x.yaml").write_text("SEED: 5\nOUTPUT_DIR: there\n")
    cfg = config_of(f"--config-file {tmp_path / 'x.yaml'} --seed 6")
    assert (cfg.SEED, cfg.OUTPUT_DIR) == (6, "there")


@pytest.mark.parametrize(
    "line, message",
    [
        ("--eval-only --fast-dev-run", "--eval-only and --fast-dev-run contradict each other"),
        ("--eval-only --overfit-batches 1", "--eval-only and --overfit-batches contradict"),
        ("--eval-only --no-validate", "--eval-only and --no-validate contradict"),
        ("--resume --fast-dev-run", "--resume and --fast-dev-run contradict"),
        ("--eval-only", "DATASETS.TEST, which is empty"),
    ],
)
def test_flags_that_make_no_sense_together_are_one_error(line, message):
    with pytest.raises(ValueError, match=message):
        config_of(line)


def test_without_validation_nothing_is_evaluated(start, tmp_path):
    trainer = start("--no-validate", "TEST.EVAL_PERIOD", "1", "TEST.EXPECTED_RESULTS", "[['tiny', 'mean', 0, 0]]")
    assert trainer.iter == 4
    assert not any("mean" in name for name in trainer.storage.latest())
    assert not (tmp_path / "run" / "results.json").exists()
    # The config of the run is not that of this start: a later one evaluates again, on whatever device it finds.
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["DATASETS"]["TEST"] == ["tiny"] and written["TEST"]["EXPECTED_RESULTS"] == [["tiny", "mean", 0, 0]]
    assert written["MODEL"]["DEVICE"] == "cpu"


def test_a_trial_ends_after_its_steps_and_leaves_the_run_as_it_is(start, tmp_path):
    run, trial = tmp_path / "run", tmp_path / "run" / "fast_dev_run"
    start("", "SOLVER.CHECKPOINT_PERIOD", "2")
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and path.name != "log.txt"}
    trainer = start("--fast-dev-run 3", "TEST.EVAL_PERIOD", "1", "SOLVER.CHECKPOINT_PERIOD", "1",
                    "SOLVER.MAX_EPOCH", "9", "TEST.EVAL_AT_START", "True")  # fmt: skip
    assert {name: (run / name).read_bytes() for name in before} == before
    assert trainer.iter == 3
    assert [path.name for path in trial.glob("*.pth")] == ["model_final.pth"]
    assert len(trainer.storage.history("tiny/mean").values()) == 1
    assert "MAX_ITER: 3" in (trial / "config.yaml").read_text()
    assert start("--resume").start_iter == 4  # the run itself is still the one to go on from


@pytest.fixture
def ones():
    DatasetCatalog.register("ones", lambda: [{"x": torch.ones(3)}] * 8)
    yield "ones"
    DatasetCatalog.remove("ones")


def test_every_test_set_is_evaluated_printed_and_kept_apart(start, ones, tmp_path):
    start()
    weights = str(tmp_path / "run" / "model_final.pth")
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    trainer = start(f"--eval-only --load-from {weights}", "DATASETS.TEST", "('tiny', 'ones')")
    log = (tmp_path / "run" / "log.txt").read_text()
    results = trainer.evaluate()
    assert list(results) == ["tiny", "ones"]
    assert results["tiny"] != results["ones"]
    for name, figures in results.items():
        assert f"copypaste: {figures['mean']:.4f}" in log.split(f"Evaluation results for {name}:")[1]
    assert torch.equal(trainer.model.layer.weight, read_checkpoint(weights)["model"]["layer.weight"])
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before


def test_a_deterministic_run_names_the_operation_that_is_not(monkeypatch, tmp_path):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic

    class Scatters(TinyTrainer):
        @classmethod
        def build_model(cls, cfg):
            model = super().build_model(cfg)
            model.register_forward_pre_hook(
                lambda module, batch: torch.zeros(3).put_(torch.tensor([0]), torch.tensor([1.0])) and None
            )
            return model

    args = default_argument_parser().parse_args(["--deterministic", *RUN, "OUTPUT_DIR", str(tmp_path)])
    cfg = setup_config(args)
    try:
        default_setup(cfg, args)
        with pytest.raises(RuntimeError, match="put_ does not have a deterministic implementation"):
            Scatters(cfg).train()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic
        close_logger()
        let_go(tmp_path)


def test_a_trial_that_a_launcher_starts_again_does_not_go_on_from_an_earlier_trial(start, monkeypatch):
    start("--fast-dev-run 2")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    trainer = start("--fast-dev-run 2")
    assert (trainer.start_iter, trainer.iter) == (0, 2)
