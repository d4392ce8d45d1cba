"""The trainer that a config describes: it builds all parts of a run; a project overrides its build_* methods."""

import contextlib
import functools
import logging
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from steploop.config import CfgNode

from .. import hooks
from ..checkpoint import Checkpointer, Convert, unwrap
from ..distributed import comm
from ..distributed.ddp import create_ddp_model, ddp_options, synchronize_buffers
from ..evaluation.evaluator import DatasetEvaluator
from ..evaluation.results import check_expected_results, verify_results
from ..evaluation.test_sets import evaluate_test_sets
from ..metrics.events import EventWriter
from ..metrics.losses import NonFiniteLoss
from ..metrics.writers import build_writers
from ..run.manifest import Manifest
from ..run.start import begin, is_new_run
from ..simple_trainer import SimpleTrainer
from ..solver import build_lr_scheduler, build_optimizer
from ..solver.restore import restore_optimizer
from ..train_loop import HookBase, TrainerBase
from .acceleration import autocast_precision, compile_model, use_channels_last
from .epochs import epochs_to_iterations, iterations_per_epoch
from .hooks import build_best_checkpointers, build_early_stopping, build_precise_bn, build_profiler
from .open_settings import fill_open_settings
from .pretrained import PartWeights, load_pretrained
from .records import load_results, report_non_finite, save_results
from .rescale import rescale_for_world_size
from .summary import model_table

logger = logging.getLogger(__name__)


class DefaultTrainer(SimpleTrainer):
    """Builds model, optimizer, loader, schedule and hooks from a config, and trains.

    A project subclasses it and overrides the parts that differ::

        class Trainer(DefaultTrainer):
            @classmethod
            def build_evaluator(cls, cfg, dataset_name): ...

        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        trainer.train()

    Args:
        cfg: a config with the keys of `steploop.config.get_cfg`, after `default_setup`.

    Attributes:
        cfg: the config, with every length in iterations.
        model, optimizer, data_loader, scheduler, checkpointer: the parts built from the config; `model` may be wrapped.
    """

    def __init__(self, cfg: CfgNode) -> None:
        check_expected_results(cfg)
        cfg = self.auto_scale_workers(fill_open_settings(cfg), comm.get_world_size())
        model = self.build_model(cfg)
        if cfg.MODEL.CHANNELS_LAST:
            use_channels_last(model)
        optimizer = self.build_optimizer(cfg, model)
        data_loader = self.build_train_loader(cfg)
        # Only the loader knows the length of an epoch, so epochs are converted here; no part above needs iterations.
        cfg = epochs_to_iterations(cfg, iterations_per_epoch(data_loader))
        if cfg.DATALOADER.OVERFIT_BATCHES:
            data_loader = self.build_overfit_loader(cfg, data_loader)
        logger.info("Model:\n%s", model_table(model))
        wrapped = create_ddp_model(model, **ddp_options(cfg))
        if cfg.SOLVER.COMPILE:
            compile_model(wrapped, cfg.SOLVER.COMPILE_BACKEND)
        super().__init__(
            wrapped,
            data_loader,
            optimizer,
            cfg.LOG_PERIOD,
            accumulate=cfg.SOLVER.ACCUMULATE,
            precision=autocast_precision(cfg),
            max_skipped_steps=cfg.SOLVER.MAX_SKIPPED_STEPS,
        )
        self.cfg = cfg
        self.ema = hooks.EMA(model, cfg.SOLVER.EMA.DECAY) if cfg.SOLVER.EMA.ENABLED else None
        self.early_stopping = build_early_stopping(cfg)
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.manifest = Manifest(cfg, data_loader)
        self.checkpointer = Checkpointer(
            model,
            cfg.OUTPUT_DIR,
            asynchronous=cfg.SOLVER.CHECKPOINT_ASYNC,
            convert=self.build_name_conversion(cfg),
            minimum_share=cfg.MODEL.WEIGHTS_MIN_SHARE,
            trainer=weakref.proxy(self),
            manifest=self.manifest,
        )
        self.seed = cfg.SEED
        self.start_iter = 0
        self._has_start = False
        self.max_iter = cfg.SOLVER.MAX_ITER
        # Reading the metrics is a collective call: every process must know the periods of the main process's hooks.
        solver, test = cfg.SOLVER, cfg.TEST
        self.metric_periods = (
            cfg.LOG_PERIOD, solver.CHECKPOINT_PERIOD, test.EVAL_PERIOD, test.LOSS_PERIOD, solver.STOP_CHECK_PERIOD
        )  # fmt: skip
        self.metric_points = tuple(solver.SAVE_POINTS)
        self._last_eval_results: Mapping[str, Any] = {}
        self._evaluated_at: int | None = None
        self.register_hooks(self.build_hooks())
        # Built here only to find errors in a test set before the first step, not at the first evaluation.
        for name in cfg.DATASETS.TEST:
            self.build_test_loader(cfg, name)
            self.build_evaluator(cfg, name)

    # -- a run --------------------------------------------------------------------------------------

    def resume_or_load(self, resume: bool = True) -> None:
        """Resume from the last checkpoint of OUTPUT_DIR, or start from MODEL.WEIGHTS.

        If neither exists, parts of the model start from the files that their builders named, such as
        MODEL.BACKBONE.PRETRAIN_PATH; otherwise those files are not read and need not exist.

        Args:
            resume: resume if OUTPUT_DIR has a checkpoint.

        Raises:
            FileNotFoundError: a weight file does not exist.
            ValueError: a file cannot be used, or has too few of the model's weights (MODEL.WEIGHTS_MIN_SHARE).
        """
        resume = resume and not is_new_run(Path(self.cfg.OUTPUT_DIR))
        rest = self.checkpointer.resume_or_load(self.cfg.MODEL.WEIGHTS, resume=resume)
        if self.checkpointer.resumed_from:
            self.start_iter = self.iter + 1
            if self.start_iter >= self.max_iter:
                logger.info("This run is finished: iteration %d of %d", self.iter, self.max_iter)
            elif self._is_over():
                logger.info(
                    "This run ended early, at iteration %d. To continue it, increase SOLVER.EARLY_STOPPING.PATIENCE",
                    self.iter,
                )
        elif self.ema is not None and (average := rest.get("trainer", {}).get("hooks", {}).get("EMA")):
            self.ema.load_state_dict(average)
        if not self.checkpointer.resumed_from and not self.cfg.MODEL.WEIGHTS:
            model = self.checkpointer.model
            parts = self.build_pretrained_parts(self.cfg, model)
            load_pretrained(model, parts, minimum_share=self.cfg.MODEL.WEIGHTS_MIN_SHARE)
        self._has_start = True

    def train(self) -> Mapping[str, Any]:  # type: ignore[override]
        """Train from `start_iter` to `max_iter`; return the results of the final evaluation, empty without one.

        A finished run is only evaluated, and if its results are stored, they are returned without an evaluation. A run
        that early stopping ended is finished too: its results are those after its last step.

        Raises:
            NonFiniteLoss: a loss was NaN or infinite; its samples are written to OUTPUT_DIR.
            SystemExit: the run was interrupted and should be resumed; the code is REQUEUE_EXIT_CODE.
            ValueError: the results differ from TEST.EXPECTED_RESULTS.
        """
        begin()
        earlier = self._earlier_results() if self.start_iter >= self.max_iter or self._is_over() else None
        if earlier is not None:
            logger.info("Nothing to do: the results of the finished run are in %s", self.cfg.OUTPUT_DIR)
            return earlier
        if not self._is_over():
            self._run()
        if self._is_over() and self._evaluated_at != self.completed_iter:
            self.evaluate_and_keep()
        if self.cfg.DATASETS.TEST and (self.iter == self.max_iter or self._is_over()) and comm.is_main_process():
            # Written last: a run that has this file is complete.
            save_results(self.cfg.OUTPUT_DIR, self._length(), self._last_eval_results)
        if self.cfg.TEST.EXPECTED_RESULTS and comm.is_main_process():
            verify_results(self.cfg, self._last_eval_results)
        return self._last_eval_results

    def _run(self) -> None:
        """Run the training loop.

        If a loss is not finite, write its samples to OUTPUT_DIR; if the run was interrupted, exit with
        REQUEUE_EXIT_CODE.
        """
        if not self._has_start and (
            self.cfg.MODEL.WEIGHTS or self.build_pretrained_parts(self.cfg, unwrap(self.model))
        ):
            logger.warning(
                "resume_or_load() was not called before train(): neither MODEL.WEIGHTS nor PRETRAIN_PATH is read"
            )
        try:
            with self.manifest.session(self):
                super().train(self.start_iter, self.max_iter)
        except NonFiniteLoss as error:
            path = report_non_finite(self.cfg.OUTPUT_DIR, error, comm.get_rank(), self.data_loader)
            logger.error("The losses and the samples of that step are in %s", path)
            raise
        finally:
            self.checkpointer.close()
        if self.stop_reason is not None and self.must_requeue:
            logger.info("Interrupted; resume with --resume (exit code %d)", hooks.REQUEUE_EXIT_CODE)
            # A launcher kills all processes when one of them exits: wait until the main process has saved.
            comm.synchronize()
            raise SystemExit(hooks.REQUEUE_EXIT_CODE)

    def _is_over(self) -> bool:
        """Return True if early stopping has ended the run."""
        return self.early_stopping is not None and self.early_stopping.is_over()

    def _length(self) -> int:
        """Return the number of steps of a finished run."""
        return self.completed_iter + 1 if self._is_over() else self.max_iter

    def evaluate(self) -> Mapping[str, Any]:
        """Evaluate on every test set, with the averaged weights (EMA) if the run has them."""
        with self.ema.applied() if self.ema is not None else contextlib.nullcontext():
            synchronize_buffers(self.model)
            # DDP would broadcast buffers in each forward pass, and hang if processes have unequal numbers of batches.
            model = unwrap(self.model) if self.cfg.DDP.BROADCAST_BUFFERS else self.model
            return self.test(self.cfg, model)

    def evaluate_and_keep(self) -> Mapping[str, Any]:
        """Evaluate and store the results: `train` returns the last ones."""
        self._last_eval_results = self.evaluate()
        self._evaluated_at = self.iter
        return self._last_eval_results

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loop, with that of the step under "_trainer", as in detectron2's checkpoints."""
        state = TrainerBase.state_dict(self)
        return {**state, "_trainer": {"iteration": state["iteration"], **self.step_state()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load `state_dict()`, except the settings of the config: learning rate, weight decay and the like."""
        TrainerBase.load_state_dict(self, state_dict)
        step = dict(state_dict["_trainer"])
        # After the hooks: the scheduler's hook has set the learning rates, which `restore_optimizer` does not change.
        step["optimizer"] = restore_optimizer(self.optimizer, step["optimizer"])
        self.load_step_state(step)

    @property
    def _trainer(self) -> "DefaultTrainer":
        """This trainer. detectron2's DefaultTrainer has here a second trainer, which has the model."""
        return self

    # -- what the config builds -------------------------------------------------------------------------

    def build_hooks(self) -> list[HookBase | None]:
        """Return the hooks that the config asks for, in the order in which they run; None entries are skipped.

        A subclass calls this and inserts its own hooks: before the last one if they record or evaluate something.

        Raises:
            ValueError: a setting is invalid, such as a layer to freeze that the model does not have.
        """
        cfg, solver, test = self.cfg, self.cfg.SOLVER, self.cfg.TEST
        clip = solver.CLIP_GRADIENTS
        is_main = comm.is_main_process()
        # Built in every process, so that all of them raise for a wrong row; only the main process registers them.
        best = build_best_checkpointers(cfg, self.checkpointer)
        per_epoch = iterations_per_epoch(self.data_loader)
        keep = solver.CHECKPOINT_MAX_TO_KEEP or None
        return [
            hooks.StopOnSignal(),
            hooks.TimeLimit(solver.MAX_SECONDS) if solver.MAX_SECONDS else None,
            hooks.IterationTimer(),
            hooks.TimeSplit(cfg.LOG_PERIOD) if cfg.LOG_TIME_SPLIT else None,
            hooks.LRScheduler(),
            hooks.EpochRecorder(per_epoch, cfg.LOG_PERIOD) if per_epoch else None,
            hooks.GradientClipping(clip.CLIP_VALUE, clip.CLIP_TYPE, clip.NORM_TYPE) if clip.ENABLED else None,
            hooks.LayerFreeze(self.model, cfg.MODEL.FREEZE_LAYERS, solver.FREEZE_ITERS)
            if cfg.MODEL.FREEZE_LAYERS
            else None,
            build_profiler(cfg),
            hooks.TorchMemoryStats(cfg.PROFILER.MEMORY_PERIOD) if cfg.PROFILER.MEMORY_PERIOD else None,
            self.ema,
            build_precise_bn(self),  # before the hooks that measure with these statistics
            hooks.ValidationLoss(test.LOSS_PERIOD, self.model, self.build_val_loader(cfg), precision=self.precision)
            if cfg.DATASETS.VAL
            else None,
            hooks.EvalHook(test.EVAL_PERIOD, self.evaluate_and_keep, eval_before_train=test.EVAL_AT_START)
            if cfg.DATASETS.TEST
            else None,
            *(best if is_main else ()),
            self.early_stopping,
            hooks.ProgressBar(),
            # These two run after all other hooks, also after hooks that are registered later (see HookBase.stage).
            hooks.PeriodicWriter(self.build_writers(), period=cfg.LOG_PERIOD) if is_main else None,
            hooks.PeriodicCheckpointer(
                self.checkpointer, solver.CHECKPOINT_PERIOD, max_to_keep=keep, save_points=solver.SAVE_POINTS
            )
            if is_main
            else None,
        ]

    def build_writers(self) -> list[EventWriter]:
        """Return the writers that WRITERS names; only the main process has writers."""
        return build_writers(self.cfg)

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Return the model that MODEL.META_ARCHITECTURE names, on its device."""
        from steploop.modeling import build_model

        return build_model(cfg)

    @classmethod
    def build_pretrained_parts(cls, cfg: CfgNode, model: nn.Module) -> Mapping[str, PartWeights]:
        """Return the pretrained weights of a new run, by the module's name; not used if MODEL.WEIGHTS is set."""
        from steploop.modeling import pretrained_parts

        return pretrained_parts(model)

    @classmethod
    def build_name_conversion(cls, cfg: CfgNode) -> Convert:
        """Return the function that renames weights of another project's file (MODEL.WEIGHTS) to the model's names."""
        from steploop.modeling import convert_names

        return convert_names

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer that SOLVER describes."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> Any:
        """Return the schedule that SOLVER describes."""
        return build_lr_scheduler(cfg, optimizer)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        """Return an endless loader of DATASETS.TRAIN."""
        from steploop.data import train_loader_from_config

        return train_loader_from_config(cfg, rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_overfit_loader(cls, cfg: CfgNode, data_loader: Any) -> Any:
        """Return a loader that repeats the first DATALOADER.OVERFIT_BATCHES batches of the training loader."""
        from steploop.data import OverfitLoader

        num_steps, batches_per_step = cfg.DATALOADER.OVERFIT_BATCHES, cfg.SOLVER.ACCUMULATE
        return OverfitLoader(data_loader, num_steps, batches_per_step=batches_per_step)

    @classmethod
    def build_val_loader(cls, cfg: CfgNode) -> Any:
        """Return a loader that yields this process's part of DATASETS.VAL once; only losses are measured on it."""
        from steploop.data import test_loader_from_config

        return test_loader_from_config(cfg, *cfg.DATASETS.VAL, rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        """Return a loader that yields this process's part of a test set once."""
        from steploop.data import test_loader_from_config

        return test_loader_from_config(cfg, dataset_name, rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """Return the evaluator of a test set; a project that has test sets implements it."""
        raise NotImplementedError(
            f"{cls.__name__} has no evaluator for the test set {dataset_name!r}: implement "
            "build_evaluator(cls, cfg, dataset_name), or leave DATASETS.TEST empty"
        )

    @classmethod
    def test(
        cls, cfg: CfgNode, model: nn.Module, evaluators: list[DatasetEvaluator] | None = None
    ) -> Mapping[str, Any]:
        """Evaluate on every set of DATASETS.TEST; see `evaluate_test_sets`."""
        return evaluate_test_sets(
            cfg.DATASETS.TEST,
            model,
            functools.partial(cls.build_test_loader, cfg),
            functools.partial(cls.build_evaluator, cfg),
            evaluators,
        )

    @staticmethod
    def auto_scale_workers(cfg: CfgNode, num_workers: int) -> CfgNode:
        """Adapt batch size, learning rate and iterations if SOLVER.REFERENCE_WORLD_SIZE is set."""
        return rescale_for_world_size(cfg, num_workers)

    def _earlier_results(self) -> Mapping[str, Any] | None:
        """Return the stored results of a finished run, the same in every process; {} if DATASETS.TEST is empty."""
        if not self.cfg.DATASETS.TEST:
            return {}
        found = load_results(self.cfg.OUTPUT_DIR, self._length()) if comm.is_main_process() else None
        return comm.all_gather(found)[0]
