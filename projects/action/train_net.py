"""Trains and evaluates action recognition; ``--help`` shows how."""

import argparse

from steploop.config import CfgNode
from steploop.engine import clear_errors, default_argument_parser, default_setup, launch
from steploop.engine.cli.mm_family import add_mm_arguments, setup_mm_config
from steploop.projects.action import action_from_mm, add_action_config
from steploop.projects.action.trainer import ActionTrainer


def main(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Run in each process."""
    default_setup(cfg, args)
    trainer = ActionTrainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    if args.eval_only:
        trainer.evaluate()
    else:
        trainer.train()


if __name__ == "__main__":
    with clear_errors():
        parser = default_argument_parser()
        add_mm_arguments(parser)
        args = parser.parse_args()
        if args.resume_from:
            args.opts += ["SOLVER.RESUME_FROM", args.resume_from]
            args.resume, args.resume_from = True, None
        cfg = setup_mm_config(args, add_action_config, action_from_mm)
        launch(
            main,
            args.num_gpus,
            args.num_machines,
            args.machine_rank,
            args.dist_url,
            args=(cfg, args),
            device=cfg.MODEL.DEVICE,
            launcher=args.launcher,
        )
