"""A project's training script in one call."""

import argparse
import inspect
from collections.abc import Callable, Sequence

from steploop.config import CfgNode

from ..defaults.trainer import DefaultTrainer
from ..distributed.launch import launch
from .arguments import default_argument_parser
from .errors import clear_errors
from .mm_family import Translate, add_mm_arguments, setup_mm_config
from .setup import default_setup, setup_config


def main(
    trainer: type[DefaultTrainer],
    *add_config: Callable[[CfgNode], None],
    read_config: Callable[[argparse.Namespace], CfgNode] | None = None,
    description: str | None = None,
    from_mm: Translate | None = None,
    change_args: Callable[[argparse.Namespace], None] | None = None,
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
        from_mm: for a project that also reads configs of MMDetection's family: see `setup_mm_config`.
        change_args: changes the parsed arguments before the config is made from them.
        argv: the command line; by default that of this program.

    Raises:
        SystemExit: the run was interrupted (REQUEUE_EXIT_CODE), or the command line or the config is wrong.
        RankError: one of several processes failed.
    """

    def add_all(cfg: CfgNode) -> None:
        for add in add_config:
            add(cfg)

    with clear_errors():
        parser = default_argument_parser()
        parser.description = description or (inspect.getdoc(trainer) or "").partition("\n")[0]
        if from_mm is not None:
            add_mm_arguments(parser)
        args = parser.parse_args(argv)
        if change_args is not None:
            change_args(args)
        if read_config is not None:
            cfg = read_config(args)
        else:
            cfg = setup_mm_config(args, add_all, from_mm) if from_mm is not None else setup_config(args, add_all)
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
