"""Short trainings that run in several processes, and what they leave for the test to compare."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from steploop.engine import SimpleTrainer, comm, create_ddp_model, hooks
from steploop.projects.reid.modeling.cross_rank import across_ranks
from steploop.projects.reid.modeling.losses import triplet_loss

OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
}


class Regression(nn.Module):
    """No statistics of the batch, so that its loss is a mean over samples and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": (self.layers(batch["x"]) - batch["y"]).square().mean()}


class Embedding(nn.Module):
    """A triplet loss whose positives and negatives lie in other processes' batches too."""

    def __init__(self, cross_rank: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4))

        def loss(outputs: Any, targets: Tensor) -> Tensor:
            return triplet_loss(outputs.features, targets, margin=0.3, norm_feat=False, hard_mining=True)

        self.loss = across_ranks(loss) if cross_rank else loss

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        features = self.layers(batch["x"])
        outputs = SimpleNamespace(features=features, _replace=lambda features: SimpleNamespace(features=features))
        return {"loss_triplet": self.loss(outputs, batch["ids"])}


def part_of(step: int, pieces: int, piece: int) -> dict[str, Tensor]:
    """Return one of `pieces` contiguous parts of the global batch of 16 of a step."""
    generator = torch.Generator().manual_seed(step)
    batch = {
        "x": torch.randn(16, 6, generator=generator),
        "y": torch.randn(16, 3, generator=generator),
        # Neighbours differ, so that no half batch holds all images of an identity.
        "ids": torch.arange(16) % 4,
    }
    return {key: value.chunk(pieces)[piece] for key, value in batch.items()}


def train(model: nn.Module, optimizer: str, *, steps: int = 20, accumulate: int = 1, **options: Any) -> SimpleTrainer:
    """Train in this process's share of the global batches."""
    rank, world = comm.get_rank(), comm.get_world_size()

    def batches():
        for step in range(10**9):
            for micro in range(accumulate):
                yield part_of(step, world * accumulate, rank * accumulate + micro)

    wrapped = create_ddp_model(model, **options)
    trainer = SimpleTrainer(wrapped, batches(), OPTIMIZERS[optimizer](model.parameters()), 5, accumulate=accumulate)
    trainer.train(0, steps)
    return trainer


def save_training(path: str, kind: str, optimizer: str, accumulate: int, options: dict[str, Any]) -> None:
    """Train and leave the weights and the reduced losses of rank 0."""
    torch.manual_seed(0)
    model = Regression() if kind == "regression" else Embedding(cross_rank=kind == "cross-rank")
    trainer = train(model, optimizer, accumulate=accumulate, **options)
    if comm.is_main_process():
        torch.save({"weights": model.state_dict(), "losses": trainer.storage.history("total_loss").values()}, path)


def _counted(name: str, original: Callable[..., Any], calls: list[Counter[str]]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if calls:
            calls[-1][name] += 1
        return original(*args, **kwargs)

    return call


def count_collectives(path: str) -> None:
    """Leave, on rank 0, which functions of torch.distributed were called in each step."""
    calls: list[Counter[str]] = []
    for name in ("all_gather", "all_gather_object", "all_reduce", "broadcast", "barrier", "gather_object", "reduce"):
        setattr(dist, name, _counted(name, getattr(dist, name), calls))
    model = create_ddp_model(Regression())
    batches = ({**part_of(step, 2, comm.get_rank())} for step in range(100))
    trainer = SimpleTrainer(model, batches, torch.optim.SGD(model.parameters(), lr=0.1), 5)
    trainer.register_hooks(
        [hooks.CallbackHook(before_step=lambda t: calls.append(Counter())), hooks.IterationTimer(), hooks.LRScheduler(
            scheduler=torch.optim.lr_scheduler.StepLR(trainer.optimizer, 3))]
    )  # fmt: skip
    trainer.train(0, 20)
    if comm.is_main_process():
        Path(path).write_text("\n".join(",".join(f"{k}:{v}" for k, v in sorted(each.items())) for each in calls))


class Wide(nn.Module):
    """Enough parameters for several of DDP's buckets."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 300), nn.Tanh(), nn.Linear(300, 300), nn.Tanh(), nn.Linear(300, 3))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": (self.layers(batch["x"]) - batch["y"]).square().mean()}


def save_stopped_training(path: str, stop: int, steps: int, options: dict[str, Any]) -> None:
    """Train to `stop`, leave everything, and go on in new objects to `steps`; leave the weights of rank 0."""
    torch.set_num_threads(1)
    state: dict[str, Any] | None = None
    weights: dict[str, Tensor] = {}
    for first, last in ((0, stop), (stop, steps)):
        if first == last:
            continue
        torch.manual_seed(0)
        model = Wide()
        model.load_state_dict(weights or model.state_dict())
        wrapped = create_ddp_model(model, bucket_cap_mb=0.1, **options)
        world, rank = comm.get_world_size(), comm.get_rank()
        batches = (part_of(step, world, rank) for step in range(first, 10**9))
        trainer = SimpleTrainer(wrapped, batches, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), 5)
        if state is not None:
            trainer.load_state_dict(state)
        trainer.train(first, last)
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        state = trainer.state_dict()
    if comm.is_main_process():
        torch.save(weights, path)
