"""Trains a generator of points against a discriminator, on the CPU; ``--help`` shows how."""

import argparse
from pathlib import Path

from torch import nn

import steploop.engine as engine
from steploop.config import CfgNode
from steploop.projects.gan.points import draw, measure
from steploop.projects.gan.trainer import GanTrainer, mlp


def add_gan_config(cfg: CfgNode) -> None:
    """Set what this project needs: it reads these keys, SEED, LOG_PERIOD, and no other."""
    cfg.OUTPUT_DIR = "output/gan"
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.CHECKPOINT_PERIOD = 1000, 250
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR = 256, 1e-3


def main(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Train; draw what the generator has learned with each checkpoint."""
    engine.default_setup(cfg, args)
    solver, folder = cfg.SOLVER, Path(cfg.OUTPUT_DIR)
    model = nn.ModuleDict({"generator": mlp(2, 2), "discriminator": mlp(2, 1)})
    trainer = GanTrainer(model, batch_size=solver.IMS_PER_BATCH, lr=solver.BASE_LR, seed=cfg.SEED)
    checkpointer = engine.Checkpointer(model, folder, trainer=trainer)

    def evaluate() -> dict[str, float]:
        points = trainer.generate(5000)
        draw(points, folder / "samples.png")
        return measure(points)

    trainer.register_hooks([
        engine.StopOnSignal(), engine.IterationTimer(),
        engine.EvalHook(solver.CHECKPOINT_PERIOD, evaluate),
        engine.PeriodicWriter(engine.default_writers(folder, solver.MAX_ITER), cfg.LOG_PERIOD),
        engine.PeriodicCheckpointer(checkpointer, solver.CHECKPOINT_PERIOD),
    ])  # fmt: skip
    checkpointer.resume_or_load("", resume=args.resume)
    trainer.train(trainer.iter + 1 if checkpointer.resumed_from else 0, solver.MAX_ITER)


if __name__ == "__main__":
    with engine.clear_errors():
        args = engine.default_argument_parser().parse_args()
        main(engine.setup_config(args, add_gan_config), args)
