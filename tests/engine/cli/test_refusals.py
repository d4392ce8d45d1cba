"""What is refused, before anything is written, with one line that says what to do."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from steploop.engine import clear_errors, default_argument_parser, default_setup, setup_config
from steploop.engine.cli import doctor
from steploop.engine.defaults.acceleration import autocast_precision
from steploop.engine.run import manifest
from steploop.engine.run.folder import let_go
from steploop.engine.run.lock import FolderLock
from steploop.engine.run.logger import close_logger
from tiny_project import TinyTrainer, tiny_args, tiny_cfg


@pytest.fixture(autouse=True)
def _ended_run(tmp_path):
    yield
    close_logger()
    for folder in (tmp_path, *tmp_path.iterdir()):
        let_go(folder)


def test_random_weights_are_not_evaluated(tmp_path):
    with pytest.raises(ValueError, match="--eval-only needs weights to measure"):
        default_setup(tiny_cfg(tmp_path), tiny_args(eval_only=True))
    with pytest.raises(ValueError, match="--eval-only needs weights"):
        default_setup(tiny_cfg(tmp_path), tiny_args(eval_only=True, resume=True))
    default_setup(tiny_cfg(tmp_path, "MODEL.WEIGHTS", "any.pth"), tiny_args(eval_only=True))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"OUTPUT_DIR .*file/run cannot be written \(Not a directory\): choose another"):
        default_setup(tiny_cfg(tmp_path / "file" / "run"), tiny_args())


def test_the_home_folder_stands_for_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(tmp_path / "run") == setup_config(tiny_args(opts=["OUTPUT_DIR", "~/run"])).OUTPUT_DIR
    default_setup(tiny_cfg("~/other"), tiny_args())
    trainer = TinyTrainer(tiny_cfg("~/other"))
    trainer.train()
    trainer.checkpointer.load("~/other/model_final.pth", checkpointables=[])
    assert (tmp_path / "other" / "model_final.pth").is_file() and not Path("~").exists()


def test_a_full_disk_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended, clear_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "/data/run/model.pth")
    assert ended.value.code == "error: [Errno 28] No space left on device: '/data/run/model.pth'"


@pytest.mark.parametrize("key", ["BASE_LR", "WEIGHT_DECAY", "MOMENTUM"])
def test_a_negative_rate_names_its_key(tmp_path, key):
    with pytest.raises(ValueError, match=f"SOLVER.{key} is at least 0, got -1"):
        TinyTrainer(tiny_cfg(tmp_path, f"SOLVER.{key}", -1.0))


def test_what_an_optimizer_refuses_names_the_keys(tmp_path):
    with pytest.raises(ValueError, match="SOLVER.OPT Adam rejects its options: Invalid beta"):
        TinyTrainer(tiny_cfg(tmp_path, "SOLVER.OPT", "Adam", "SOLVER.OPT_ARGS.betas", "(2.0, 0.9)"))


def test_an_unknown_test_set_is_refused_before_the_older_run_is_moved(tmp_path):
    default_setup(tiny_cfg(tmp_path), tiny_args())
    TinyTrainer(tiny_cfg(tmp_path)).train()
    before = sorted(path.name for path in tmp_path.iterdir())
    cfg = tiny_cfg(tmp_path, "DATASETS.TEST", "('no-such-set',)")
    default_setup(cfg, tiny_args())
    with pytest.raises(KeyError, match="no-such-set"):
        TinyTrainer(cfg)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_evaluator_that_is_missing_is_an_error_before_the_first_step(tmp_path):
    class Trainer(TinyTrainer):
        build_evaluator = None

    Trainer.build_evaluator = classmethod(super(TinyTrainer, TinyTrainer).build_evaluator.__func__)
    with pytest.raises(NotImplementedError, match="implement build_evaluator"):
        Trainer(tiny_cfg(tmp_path, "DATASETS.TEST", "('tiny',)"))


def test_the_doctor_sees_a_run_that_goes_on(tmp_path, capsys):
    with FolderLock(tmp_path / "run"):
        status = doctor.main(["OUTPUT_DIR", str(tmp_path / "run"), "MODEL.DEVICE", "cpu", "SEED", "1"])
    out = capsys.readouterr().out
    assert status == 1 and "FAILED   folder" in out and "a run is going on in" in out


def test_versions_are_told_where_nothing_is_installed(monkeypatch):
    def missing(name):
        raise manifest.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(manifest.importlib.metadata, "version", missing)
    assert manifest.versions()["steploop"] == "not installed"


def test_half_precision_on_a_cpu_is_warned_of(tmp_path, caplog):
    cfg = tiny_cfg(tmp_path, "SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "float16")
    autocast_precision(cfg)
    assert "float16 is many times slower on a CPU" in caplog.text


def test_the_examples_of_help_name_a_file_that_is_there(monkeypatch, capsys):
    root = Path(__file__).parents[3]
    monkeypatch.setattr(sys, "argv", ["projects/reid/train_net.py"])
    with pytest.raises(SystemExit):
        default_argument_parser().parse_args(["--help"])
    text = capsys.readouterr().out
    assert "--config-file projects/reid/configs/quickstart.yaml --resume" in text
    assert (root / "projects/reid/configs/quickstart.yaml").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_a_program_without_a_traceback():
    code = (
        "from steploop.engine import clear_errors\n"
        "with clear_errors(), open('/dev/full', 'w') as file:\n    file.write('x')\n    file.flush()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: [Errno 28] No space left on device")
