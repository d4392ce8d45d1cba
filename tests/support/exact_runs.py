"""Runs that are killed and resumed, in this process: what the tests of exact resume share."""

import importlib.util
import shutil
import sys
from pathlib import Path

import torch
from torch import nn

from steploop.engine import BestCheckpointer, DatasetEvaluator, comm, hooks
from steploop.engine.checkpoint import unwrap
from steploop.engine.checkpoint.resume import holds_checkpoint
from steploop.engine.run.folder import start_run
from steploop.engine.run.seeding import seed_all_rng
from tiny_project import TinyTrainer, tiny_cfg

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = 12

# Kinds of runs for which a resume is to be exact.
PLAIN = ("SOLVER.BASE_LR", 0.05, "SOLVER.MAX_ITER", STEPS, "SOLVER.CHECKPOINT_PERIOD", 3, "LOG_PERIOD", 2)
EVALUATED = ("DATASETS.TEST", "('tiny',)", "TEST.EVAL_PERIOD", 3, "TEST.IMS_PER_BATCH", 4)
EMA = ("SOLVER.EMA.ENABLED", True, "SOLVER.EMA.DECAY", 0.8)
CLIPPING = ("SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 0.1)
BFLOAT16 = ("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "bfloat16")
FLOAT16 = ("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "float16")
ASYNC = ("SOLVER.CHECKPOINT_ASYNC", True)
ACCUMULATED = ("SOLVER.ACCUMULATE", 2, "SOLVER.IMS_PER_BATCH", 8)
SCHEDULED = ("SOLVER.OPT", "Adam", "SOLVER.WARMUP_ITERS", 4, "SOLVER.STEPS", "(7,)")
EVERYTHING = (*EVALUATED, *EMA, *CLIPPING, *BFLOAT16, *ASYNC, *ACCUMULATED, *SCHEDULED)


class Killed(BaseException):
    """Ends a run where a signal 9 would have."""


class ExactModel(nn.Module):
    """Dropout, batch normalisation with its running statistics, and a metric beside the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.seen: list[list[float]] = []  # what tells the samples of each training batch from others

    def forward(self, batch):
        if self.training:
            self.seen.append(batch["x"][:, 0].tolist())
        value = (self.layers(batch["x"]) - 1.0).square().mean()
        return ({"loss": value}, {"half": value.detach() / 2}) if self.training else {"loss": value}


class MeanOverRanks(DatasetEvaluator):
    def reset(self):
        self.values = []

    def process(self, inputs, outputs):
        self.values.append(float(outputs["loss"]))

    def evaluate(self):
        values = [value for each in comm.all_gather(self.values) for value in each]
        return {"mean": sum(values) / len(values)} if comm.is_main_process() else {}


def noisy(item, rng):
    """Map an item as an augmentation does."""
    return {"x": item["x"] + torch.from_numpy(rng.normal(scale=0.1, size=3)).float()}


class ExactTrainer(TinyTrainer):
    @classmethod
    def build_model(cls, cfg):
        return ExactModel()

    @classmethod
    def build_train_loader(cls, cfg):
        loader = super().build_train_loader(cfg)
        loader.dataset.mapper = noisy
        return loader

    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return MeanOverRanks()


def prepare(folder, *overrides) -> ExactTrainer:
    """Return a trainer that goes on from the last checkpoint of `folder`, if there is one."""
    torch.set_num_threads(1)
    cfg = tiny_cfg(folder, *PLAIN, *overrides)
    cfg.freeze()
    if comm.is_main_process() and not holds_checkpoint(Path(folder)):
        start_run(Path(folder))  # as default_setup does
    comm.synchronize()
    seed_all_rng(cfg.SEED)
    trainer = ExactTrainer(cfg)
    if cfg.DATASETS.TEST and comm.is_main_process():
        trainer.register_hooks([BestCheckpointer(cfg.TEST.EVAL_PERIOD, trainer.checkpointer, "tiny/mean", "min")])
    trainer.resume_or_load()
    return trainer


def train(folder, *overrides, kill=None) -> ExactTrainer:
    """Train in `folder`, from its last checkpoint on.

    With ``kill=(moment, step)``, the run ends there and leaves the folder as a signal 9 would have left it, that is,
    without what is done when a run fails. A moment is a hook point, or "saved": the file of that step is just durable.
    """
    trainer = prepare(folder, *overrides)
    if kill is None:
        trainer.train()
        return trainer
    copy = Path(f"{folder}_as_killed")
    _arm(trainer, copy, *kill)
    try:
        trainer.train()
    except Killed:
        if comm.is_main_process():
            shutil.rmtree(folder)
            copy.rename(folder)
        comm.synchronize()
        return trainer
    raise AssertionError(f"the run ended without coming to {kill}")


def samples_by_step(trainer: ExactTrainer) -> dict[int, list[float]]:
    """Return what the steps of a run were trained on, over all ranks."""
    ranks = comm.all_gather(unwrap(trainer.model).seen)
    return {trainer.start_iter + i: sum(parts, []) for i, parts in enumerate(zip(*ranks))}


def _arm(trainer: ExactTrainer, copy: Path, moment: str, step: int) -> None:
    def die() -> None:
        if comm.is_main_process() and not copy.exists():
            shutil.copytree(trainer.cfg.OUTPUT_DIR, copy)
        raise Killed

    def at_hook(trainer) -> None:
        if trainer.iter == step:
            trainer.checkpointer.wait()  # a folder that changes cannot be copied
            die()

    if moment != "saved":
        trainer.register_hooks([hooks.CallbackHook(**{moment: at_hook})])
        return
    name = "model_final.pth" if step == STEPS - 1 else f"model_{step:07d}.pth"
    trainer.checkpointer.after_durable.append(lambda path: die() if path.name == name else None)
    # Where nothing is saved, or in another thread.
    hook = hooks.CallbackHook(after_step=at_hook)
    hook.stage = hooks.PeriodicCheckpointer.stage + 1
    trainer.register_hooks([hook])


def differences(one, other) -> list[str]:
    """Return what benchmarks/compare_runs.py finds."""
    path = REPOSITORY / "benchmarks" / "compare_runs.py"
    spec = importlib.util.spec_from_file_location("compare_runs", path)
    module = sys.modules.setdefault("compare_runs", importlib.util.module_from_spec(spec))
    if not hasattr(module, "differences"):
        spec.loader.exec_module(module)
    return list(module.differences(Path(one), Path(other)))
