"""Reads the trainer and the config's keys from a training script, for commands that do not start a run."""

import os
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path

from steploop.config import CfgNode

from ..defaults.trainer import DefaultTrainer
from .arguments import default_argument_parser
from .setup import setup_config


def config_and_trainer(argv: Sequence[str] | None = None) -> tuple[CfgNode, type[DefaultTrainer] | None]:
    """Return the config of a training command line, and the trainer's class if --script names the training script.

    Raises:
        ValueError, KeyError, TypeError, OSError: see `setup_config` and `load_script`.
    """
    parser = default_argument_parser(epilog="The other arguments are those of the training.")
    parser.add_argument("--script", metavar="FILE", help="the training script: its trainer and its config's keys")
    args = parser.parse_args(argv)
    trainer, add_keys = load_script(args.script) if args.script else (None, [])
    try:
        return setup_config(args, *add_keys), trainer
    except KeyError as error:
        error.add_note("" if args.script else "(if this is a key of a project, name its training script: --script)")
        raise


def load_script(path: str | os.PathLike[str]) -> tuple[type[DefaultTrainer], list[Callable[[CfgNode], None]]]:
    """Return the trainer's class and the functions ``add_..._config`` that a training script defines or imports.

    The script is executed like an import: the code below ``if __name__ == "__main__"`` does not run.

    Raises:
        ValueError: it has no subclass of DefaultTrainer, or several.
        FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no training script {os.fspath(path)!r}")
    names = runpy.run_path(os.fspath(path))
    trainers = {value for value in names.values() if isinstance(value, type) and issubclass(value, DefaultTrainer)}
    if len(trainers) > 1:
        trainers.discard(DefaultTrainer)
    if len(trainers) != 1:
        found = ", ".join(sorted(trainer.__name__ for trainer in trainers)) or "none"
        raise ValueError(f"{path} should define or import one trainer, a subclass of DefaultTrainer; found: {found}")
    return trainers.pop(), [names[name] for name in names if name.startswith("add_") and name.endswith("_config")]
