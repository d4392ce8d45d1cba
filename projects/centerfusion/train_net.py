"""Trains and evaluates 3D detection from cameras and radar; ``--help`` shows how."""

import argparse

from steploop.config import CfgNode
from steploop.engine import clear_errors, default_argument_parser, default_setup, launch, setup_config
from steploop.projects.centerfusion import add_centerfusion_config
from steploop.projects.centerfusion.trainer import CenterFusionTrainer


def main(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Run in each process."""
    default_setup(cfg, args)
    trainer = CenterFusionTrainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    if args.eval_only:
        trainer.evaluate()
    else:
        trainer.train()


if __name__ == "__main__":
    with clear_errors():
        args = default_argument_parser().parse_args()
        cfg = setup_config(args, add_centerfusion_config)
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
