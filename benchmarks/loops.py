"""The same training by hand and by several engines: what benchmarks/engine_overhead.py compares.

Each loop is a function of a `Job`: it draws every batch from `job.batches()`, does `job.steps` optimizer steps on
`job.net`, and, unless it is a bare one, reports loss, learning rate and times every `PERIOD` steps on the console, as
JSON and to TensorBoard, below `job.folder`.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PERIOD = 20
LEARNING_RATE = 0.01

Batch = dict[str, Tensor]


class Job:
    """One training of a tiny network, and the clock of it.

    The clock is the source of the batches: between the moments at which two of them are drawn lies exactly one step,
    whatever the engine does around it.
    """

    def __init__(self, steps: int, warmup: int, folder: Path) -> None:
        self.steps, self.warmup, self.folder = steps, warmup, folder
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
        self._examples = [{"x": torch.randn(8, 32), "y": torch.randint(0, 10, (8,))} for _ in range(64)]
        self._drawn: list[float] = []

    def batches(self) -> Iterator[Batch]:
        """Yield batches, the same in every job; the moments are noted."""
        while True:
            for batch in self._examples:
                self._drawn.append(time.perf_counter())
                yield batch

    def optimizer(self) -> torch.optim.Optimizer:
        """Return SGD with momentum."""
        return torch.optim.SGD(self.net.parameters(), lr=LEARNING_RATE, momentum=0.9)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        return F.cross_entropy(self.net(batch["x"]), batch["y"])

    def module(self) -> nn.Module:
        """Return network and loss as one module: module(batch) -> {"loss": loss}."""
        return _LossModule(self.net)

    def microseconds(self) -> float:
        """Return the mean time of a step after the warm-up."""
        first, last = self._drawn[self.warmup], self._drawn[self.steps - 1]
        return 1e6 * (last - first) / (self.steps - 1 - self.warmup)

    def digest(self) -> str:
        """Return a hash of the weights: an engine that leaves out work has another."""
        content = b"".join(value.numpy().tobytes() for value in self.net.state_dict().values())
        return hashlib.sha256(content).hexdigest()


class _LossModule(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss": loss}."""
        return {"loss": F.cross_entropy(self.net(batch["x"]), batch["y"])}


def raw(job: Job) -> None:
    """The shortest loop: the floor that all others are compared with."""
    model, optimizer, batches = job.module().train(), job.optimizer(), job.batches()
    for _ in range(job.steps):
        loss = model(next(batches))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def by_hand(job: Job) -> None:
    """The shortest loop with schedule, timers, console, JSON and TensorBoard, written by hand."""
    from torch.utils.tensorboard import SummaryWriter

    model, optimizer, batches = job.module().train(), job.optimizer(), job.batches()
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    board = SummaryWriter(str(job.folder))
    waiting = busy = 0.0
    with (job.folder / "metrics.json").open("w") as lines:
        for step in range(1, job.steps + 1):
            start = time.perf_counter()
            batch = next(batches)
            waiting += time.perf_counter() - start
            loss = model(batch)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            busy += time.perf_counter() - start
            if step % PERIOD == 0:
                rate = optimizer.param_groups[0]["lr"]
                values = {"loss": loss.item(), "lr": rate, "time": busy / PERIOD, "data_time": waiting / PERIOD}
                waiting = busy = 0.0
                print(step, values, flush=True)
                lines.write(json.dumps({"iteration": step, **values}) + "\n")
                lines.flush()
                for name, value in values.items():
                    board.add_scalar(name, value, step)
    board.close()


def bare(job: Job) -> None:
    """SimpleTrainer without hooks: metrics are recorded and read, and nothing is written."""
    from steploop.engine import SimpleTrainer

    SimpleTrainer(job.module(), job.batches(), job.optimizer(), PERIOD).train(0, job.steps)


def full(job: Job) -> None:
    """DefaultTrainer with all of its default hooks and writers."""
    from steploop.config import CfgNode, get_cfg
    from steploop.engine import DefaultTrainer, setup_logger

    class Trainer(DefaultTrainer):
        @classmethod
        def build_model(cls, cfg: CfgNode) -> nn.Module:
            return job.module()

        @classmethod
        def build_train_loader(cls, cfg: CfgNode) -> Any:
            return job.batches()

    cfg = get_cfg()
    settings = {"MOMENTUM": 0.9, "BASE_LR": LEARNING_RATE, "WEIGHT_DECAY": 0.0, "WARMUP_ITERS": 0, "STEPS": ()}
    cfg.SOLVER.update(settings | {"MAX_ITER": job.steps, "CHECKPOINT_PERIOD": 0})
    cfg.LOG_PERIOD, cfg.SEED, cfg.MODEL.DEVICE, cfg.OUTPUT_DIR = PERIOD, 0, "cpu", str(job.folder)
    setup_logger(str(job.folder))
    Trainer(cfg).train()


def lightning(job: Job) -> None:
    """Lightning's Trainer with its logging to TensorBoard and CSV, no progress bar, no checkpoints."""
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = job.net

        def training_step(self, batch: Batch, index: int) -> Tensor:
            loss = job.loss(batch)
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return job.optimizer()

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    folder = str(job.folder)
    Trainer(
        max_steps=job.steps,
        accelerator="cpu",
        logger=[TensorBoardLogger(folder), CSVLogger(folder)],
        log_every_n_steps=PERIOD,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    ).fit(Module(), _Endless(job))


def accelerate(job: Job) -> None:
    """Accelerate's prepared model and optimizer in a loop by hand, with its trackers."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=str(job.folder))
    accelerator.init_trackers("run")
    model, optimizer = accelerator.prepare(job.module(), job.optimizer())
    model.train()
    batches = job.batches()
    for step in range(1, job.steps + 1):
        loss = model(next(batches))["loss"]
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        if step % PERIOD == 0:
            values = {"loss": loss.item(), "lr": optimizer.param_groups[0]["lr"]}
            accelerator.print(step, values, flush=True)
            accelerator.log(values, step=step)
    accelerator.end_training()


def ignite(job: Job) -> None:
    """Ignite's Engine with its TensorBoard logger."""
    from ignite.engine import Engine, Events
    from ignite.handlers.tensorboard_logger import TensorboardLogger

    model, optimizer = job.module().train(), job.optimizer()

    def update(engine: Any, batch: Batch) -> dict[str, Tensor]:
        loss = model(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss}

    trainer = Engine(update)
    board = TensorboardLogger(log_dir=str(job.folder))
    every = Events.ITERATION_COMPLETED(every=PERIOD)
    board.attach_output_handler(trainer, event_name=every, tag="training", output_transform=lambda output: output)
    board.attach_opt_params_handler(trainer, event_name=every, optimizer=optimizer)
    trainer.add_event_handler(every, lambda engine: print(engine.state.iteration, engine.state.output, flush=True))
    trainer.run(job.batches(), max_epochs=1, epoch_length=job.steps)
    board.close()


class _Endless(torch.utils.data.IterableDataset):
    """Batches as Lightning takes them."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __iter__(self) -> Iterator[Batch]:
        return self._job.batches()


OURS: dict[str, Callable[[Job], None]] = {"by hand": by_hand, "bare": bare, "full": full}
PEERS: dict[str, Callable[[Job], None]] = {"lightning": lightning, "accelerate": accelerate, "ignite": ignite}
