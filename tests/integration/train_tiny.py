"""A training script as a project has one, of a model that trains in a second, and that can be told to fail."""

import argparse
import os
import signal
import threading

from steploop.config import CfgNode
from steploop.engine import (
    HookBase,
    clear_errors,
    comm,
    default_argument_parser,
    default_setup,
    launch,
    setup_config,
)
from steploop.engine.distributed.launchers import count_restarts
from tiny_project import TinyTrainer

PAUSE = threading.Event()


class Fail(HookBase):
    """Kills rank 1 (FAIL=kill), or raises in it (FAIL=raise), before step 25 of the first start."""

    def before_step(self) -> None:
        if self.trainer.iter != 25 or comm.get_rank() != 1 or count_restarts(os.environ):
            return
        if os.environ.get("FAIL") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif os.environ.get("FAIL") == "raise":
            raise LookupError("told to raise")


class Pace(HookBase):
    """Makes each step of the first start take SECONDS_PER_STEP."""

    def before_step(self) -> None:
        if not count_restarts(os.environ):
            PAUSE.wait(float(os.environ.get("SECONDS_PER_STEP", "0")))


def main(cfg: CfgNode, args: argparse.Namespace) -> None:
    default_setup(cfg, args)
    trainer = TinyTrainer(cfg)
    trainer.register_hooks([Pace(), Fail()])
    trainer.resume_or_load(resume=args.resume)
    if not count_restarts(os.environ):
        # A launcher that sees one rank leave with exit code 75 ends the others: rank 0 takes its time to save.
        seconds_to_save = float(os.environ.get("SECONDS_TO_SAVE", "0"))
        trainer.checkpointer.before_visible.append(lambda: PAUSE.wait(seconds_to_save))
    trainer.train()


if __name__ == "__main__":
    with clear_errors():
        args = default_argument_parser().parse_args()
        cfg = setup_config(args)
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
