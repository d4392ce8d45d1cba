"""The smallest model, data and trainer with which the engine is tested."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from steploop.engine import SimpleTrainer


class TinyModel(nn.Module):
    """A linear layer with one loss, or with as many as `losses` has; "metrics" are returned beside them."""

    def __init__(self, losses: tuple[str, ...] = ("loss",), metrics: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.losses = losses
        self.metrics = metrics

    def forward(self, batch: Tensor | dict[str, Tensor]) -> Any:
        value = self.layer(batch["x"] if isinstance(batch, dict) else batch).square().mean()
        losses = {name: value * (index + 1) for index, name in enumerate(self.losses)}
        if self.metrics:
            return losses, {name: value.detach() * 10 for name in self.metrics}
        return losses


class TinyLoader:
    """Batches (4, 3) that follow from their step; it can be entered at any."""

    def __init__(self) -> None:
        self.step = 0
        self.drawn: list[int] = []

    def seek(self, step: int) -> None:
        self.step = step

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            self.drawn.append(self.step)
            yield torch.randn(4, 3, generator=torch.Generator().manual_seed(self.step))
            self.step += 1


def tiny_trainer(lr: float = 0.01, *, model: nn.Module | None = None, **kwargs: Any) -> SimpleTrainer:
    torch.manual_seed(0)
    model = model or TinyModel()
    return SimpleTrainer(model, TinyLoader(), torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9), **kwargs)
