"""The command line that every training script shares."""

import argparse
import sys

from .launchers import LAUNCHERS

_EXAMPLES = """\
examples:
  train:                        {script} --config-file configs/quickstart.yaml
  change a setting:             {script} --config-file configs/quickstart.yaml SOLVER.BASE_LR 0.01 SEED 1
  go on after an interruption:  {script} --config-file configs/quickstart.yaml --resume
  only evaluate a checkpoint:   {script} --config-file configs/quickstart.yaml --eval-only MODEL.WEIGHTS model.pth
  four GPUs:                    {script} --config-file configs/quickstart.yaml --num-gpus 4
  two processes on CPUs:        {script} --config-file configs/quickstart.yaml --num-gpus 2 MODEL.DEVICE cpu
  two machines, on each:        {script} --num-machines 2 --machine-rank <0|1> --dist-url tcp://HOST:PORT ...
  under a launcher:             torchrun --nproc-per-node 4 {script} ...; srun {script} ...; mpirun -n 4 {script} ...
"""


def default_argument_parser(epilog: str | None = None) -> argparse.ArgumentParser:
    """Return a parser with the arguments of a training script; add your own to it.

    Args:
        epilog: the text below `--help`; by default examples for the script that runs.
    """
    parser = argparse.ArgumentParser(
        epilog=epilog if epilog is not None else _EXAMPLES.format(script=sys.argv[0]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config-file", default="", metavar="FILE", help="the YAML file that describes the run")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the output folder")
    parser.add_argument("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS and end")
    parser.add_argument("--print-config", action="store_true", help="print the resolved config and end")
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits again on a GPU, and with 3 or more processes (slower)",
    )
    group = parser.add_argument_group("several processes")
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
    parser.add_argument(
        # Not argparse.REMAINDER, which would swallow every flag that comes after the first KEY.
        "opts",
        nargs="*",
        metavar="KEY VALUE",
        help="settings that override the config file, as pairs; flags come before or after them, not between",
    )
    return parser
