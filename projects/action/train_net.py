"""Trains and evaluates action recognition; ``--help`` shows how."""

import argparse

from steploop.engine import main
from steploop.projects.action import action_from_mm, add_action_config
from steploop.projects.action.trainer import ActionTrainer


def take_resume_from(args: argparse.Namespace) -> None:
    """Let --resume-from set this project's key, with which a new run goes on from any checkpoint."""
    if args.resume_from:
        args.opts += ["SOLVER.RESUME_FROM", args.resume_from]
        args.resume, args.resume_from = True, None


if __name__ == "__main__":
    main(
        ActionTrainer,
        add_action_config,
        description="Trains and evaluates action recognition.",
        from_mm=action_from_mm,
        change_args=take_resume_from,
    )
