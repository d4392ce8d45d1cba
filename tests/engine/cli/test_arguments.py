import pytest

from steploop.engine.cli.arguments import default_argument_parser


def test_defaults():
    args = default_argument_parser().parse_args([])
    assert vars(args) == {
        "config_file": "",
        "resume": False,
        "eval_only": False,
        "print_config": False,
        "work_dir": None,
        "load_from": None,
        "seed": None,
        "deterministic": False,
        "no_validate": False,
        "fast_dev_run": 0,
        "overfit_batches": None,
        "num_gpus": 1,
        "num_machines": 1,
        "machine_rank": 0,
        "dist_url": "auto",
        "launcher": "auto",
        "opts": [],
    }


def test_overrides_come_before_or_after_flags():
    parser = default_argument_parser()
    flags = ["--config-file", "x.yaml", "--num-gpus", "2", "--resume"]
    overrides = ["MODEL.DEVICE", "cpu", "SEED", "-1", "SOLVER.STEPS", "(10, 20)"]
    for line in (flags + overrides, overrides + flags):
        args = parser.parse_args(line)
        assert args.opts == overrides
        assert (args.config_file, args.num_gpus, args.resume) == ("x.yaml", 2, True)


def test_a_flag_is_never_taken_for_an_override(capsys):
    with pytest.raises(SystemExit):
        default_argument_parser().parse_args(["SEED", "1", "--no-such-flag"])
    assert "--no-such-flag" in capsys.readouterr().err


@pytest.mark.parametrize("line, steps", [([], 0), (["--fast-dev-run"], 5), (["--fast-dev-run", "2"], 2)])
def test_a_trial_has_five_steps_unless_told_otherwise(line, steps):
    assert default_argument_parser().parse_args([*line]).fast_dev_run == steps
    assert default_argument_parser().parse_args(["SEED", "1", *line]).fast_dev_run == steps


@pytest.mark.parametrize("line", ["--fast-dev-run 0", "--overfit-batches -1", "--fast-dev-run SEED 1"])
def test_a_count_is_at_least_one(line, capsys):
    with pytest.raises(SystemExit):
        default_argument_parser().parse_args(line.split())
    assert "number of at least 1" in capsys.readouterr().err or "--overfit-batches" in line


def test_help_shows_examples(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train_net.py"])
    with pytest.raises(SystemExit):
        default_argument_parser().parse_args(["--help"])
    assert "train_net.py --config-file configs/quickstart.yaml --num-gpus 2 MODEL.DEVICE cpu" in capsys.readouterr().out
    assert default_argument_parser(epilog="mine").format_help().rstrip().endswith("mine")
