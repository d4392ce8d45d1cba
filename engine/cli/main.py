"""A project's training script in one call."""

import argparse
import inspect
from collections.abc import Callable, Sequence

from steploop.config import CfgNode

from ..defaults.trainer import DefaultTrainer
from ..distributed.launch import launch
from .arguments import default_argument_parser
from .errors import clear_errors
from .setup import default_setup, setup_config


def main(
    trainer: type[DefaultTrainer],
    *add_config: Callable[[CfgNode], None],
    read_config: Callable[[argparse.Namespace], CfgNode] | None = None,
    description: str | None = None,
    argv: Sequence[str] | None = None,
) -> None:
    """Read the command line, and train or evaluate in as many processes as it asks for.

    This is all that the training script of a project contains::

        if __name__ == "__main__":
            main(MyTrainer, add_my_config, description="Trains my model.")

    An error in what a person has written ends the program with one line.

    Args:
        trainer: the class of the trainer; new processes import it by name, so it stands at the top of a module.
        add_config: functions that add the project's keys to the config.
        read_config: makes the frozen config of the command line where the project's configs have several forms; by
            default `setup_config` does, with `add_config`.
        description: the text above the flags in ``--help``; by default the first line of the trainer's docstring.
        argv: the command line; by default that of this program.

    Raises:
        SystemExit: the run was interrupted (REQUEUE_EXIT_CODE), or the command line or the config is wrong.
        RankError: one of several processes failed.
    """
    with clear_errors():
        parser = default_argument_parser()
        parser.description = description or (inspect.getdoc(trainer) or "").partition("\n")[0]
        args = parser.parse_args(argv)
        cfg = setup_config(args, *add_config) if read_config is None else read_config(args)
        launch(
            _run,
            args.num_gpus,
            args.num_machines,
            args.machine_rank,
            args.dist_url,
            args=(trainer, cfg, args),
            device=cfg.MODEL.DEVICE,
            launcher=args.launcher,
        )


def _run(trainer_class: type[DefaultTrainer], cfg: CfgNode, args: argparse.Namespace) -> None:
    """Train or evaluate; every process runs this."""
    default_setup(cfg, args)
    trainer = trainer_class(cfg)
    trainer.resume_or_load(resume=args.resume)
    if args.eval_only:
        trainer.evaluate()
    else:
        trainer.train()
