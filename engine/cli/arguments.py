"""The command line that every training script shares."""

import argparse
import sys
from pathlib import Path

from ..distributed.launchers import LAUNCHERS
from .override_parser import OverrideParser

_EXAMPLES = """\
examples:
  train:                        {script} --config-file {config}
  change a setting:             {script} --config-file {config} SOLVER.BASE_LR 0.01 SEED 1
  resume after an interruption: {script} --config-file {config} --resume
  test that it runs:            {script} --config-file {config} --fast-dev-run
  only evaluate a checkpoint:   {script} --config-file {config} --eval-only MODEL.WEIGHTS model.pth
  four GPUs:                    {script} --config-file {config} --num-gpus 4
  two processes on CPUs:        {script} --config-file {config} --num-gpus 2 MODEL.DEVICE cpu
  two machines, on each:        {script} --num-machines 2 --machine-rank <0|1> --dist-url tcp://HOST:PORT ...
  under a launcher:             torchrun --nproc-per-node 4 {script} ...; srun {script} ...; mpirun -n 4 {script} ...
"""

# Enough steps to see the loss change.
FAST_DEV_STEPS = 5


def default_argument_parser(epilog: str | None = None) -> argparse.ArgumentParser:
    """Return a parser with the arguments of a training script; add your own to it.

    Args:
        epilog: the text below `--help`; by default, examples for the current script.
    """
    parser = OverrideParser(
        epilog=epilog if epilog is not None else _EXAMPLES.format(script=sys.argv[0], config=_example_config()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config-file", default="", metavar="FILE", help="the YAML file that describes the run")
    parser.add_argument("--resume", action="store_true", help="resume from the last checkpoint of the output folder")
    parser.add_argument("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS on each test set, and end")
    parser.add_argument("--print-config", action="store_true", help="print the resolved config and end")
    _add_names_of_settings(parser.add_argument_group("settings by another name"))
    _add_trials(parser.add_argument_group("to try something out"))
    _add_processes(parser.add_argument_group("several processes"))
    return parser


def _example_config() -> str:
    """Return the quickstart.yaml of the current script, a file that every project has."""
    return str(Path(sys.argv[0]).parent / "configs" / "quickstart.yaml")


def _add_names_of_settings(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--work-dir", metavar="DIR", help="OUTPUT_DIR: where the run writes")
    group.add_argument("--load-from", metavar="FILE", help="MODEL.WEIGHTS: the weights to start from")
    group.add_argument("--seed", type=int, metavar="N", help="SEED: all random numbers depend on it")
    group.add_argument(
        "--deterministic",
        action="store_true",
        help="DETERMINISTIC: the same bits in every run on a GPU, and with 3 or more processes (slower); an operation "
        "that is not deterministic is an error that names it",
    )


def _add_trials(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--no-validate", action="store_true", help="no evaluation, neither during the run nor after it")
    group.add_argument(
        "--fast-dev-run",
        nargs="?",
        type=_count,
        const=FAST_DEV_STEPS,
        default=0,
        metavar="N",
        help="N steps, one evaluation, one checkpoint, and end; writes into the folder fast_dev_run of the output "
        f"folder (default: {FAST_DEV_STEPS} steps)",
    )
    group.add_argument(
        "--overfit-batches",
        type=_count,
        metavar="N",
        help="DATALOADER.OVERFIT_BATCHES: train on the first N steps' batches again and again; the loss should go to 0",
    )


def _add_processes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--num-gpus", type=int, default=1, metavar="N", help="processes on each machine, one for each GPU (default: 1)"
    )
    group.add_argument("--num-machines", type=int, default=1, metavar="N", help="machines of the run (default: 1)")
    group.add_argument("--machine-rank", type=int, default=0, metavar="I", help="this machine's number, from 0")
    group.add_argument(
        "--dist-url",
        default="auto",
        metavar="URL",
        help="where the processes meet: tcp://HOST:PORT or file://PATH (default: a free port of this machine)",
    )
    group.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="auto",
        help="what has started this process: torchrun (pytorch), srun or mpirun; none ignores them (default: auto)",
    )


def _count(text: str) -> int:
    """Read a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"expected a number of at least 1, got {text!r} (where a KEY follows the flag, give the number too)"
        )
    return int(text)
