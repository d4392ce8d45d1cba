"""A step of two optimizers, and the state that goes with it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from steploop.engine import SimpleTrainer, TrainerBase

from .points import ring


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    """Return a network with two hidden layers."""
    return nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs))


class GanTrainer(TrainerBase):
    """Trains a generator and a discriminator in each step, with an optimizer for each (arXiv:1406.2661).

    A step of another kind takes no more than this: `run_step`, and the optimizers in the state. What is random in a
    step comes from the default generator, which the trainer has seeded for it: a resumed run draws the same.

    Args:
        model: "generator", from noise (N, 2) to points (N, 2), and "discriminator", from points to logits (N, 1).
        batch_size: real points, and generated ones, in a step.
        lr: of both optimizers.
        seed: everything random in a step follows from it.
    """

    def __init__(self, model: nn.ModuleDict, *, batch_size: int = 256, lr: float = 1e-3, seed: int = 0) -> None:
        super().__init__()
        self.model, self.batch_size, self.seed = model, batch_size, seed
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=lr, betas=(0.5, 0.9)) for name, network in model.items()
        }

    def run_step(self) -> None:
        """Let the discriminator learn, then the generator."""
        discriminator = self.model["discriminator"]
        real = ring(self.batch_size).requires_grad_()
        fake = self.model["generator"](torch.randn(self.batch_size, 2))
        on_real = discriminator(real)
        loss_d = softplus(-on_real).mean() + softplus(discriminator(fake.detach())).mean()
        # Flat at real points, or the two chase each other for ever (R1, arXiv:1801.04406).
        (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
        self._learn("discriminator", loss_d + 0.1 * slope.square().sum(dim=1).mean())
        loss_g = softplus(-discriminator(fake)).mean()
        self._learn("generator", loss_g)
        SimpleTrainer.write_metrics({"loss_generator": loss_g, "loss_discriminator": loss_d}, 0.0, self.iter)

    @torch.no_grad()
    def generate(self, count: int) -> Tensor:
        """Return points (count, 2), the same for the same weights."""
        return self.model["generator"](torch.randn(count, 2, generator=torch.Generator().manual_seed(0)))

    def state_dict(self) -> dict[str, Any]:
        """Return the loop's state with both optimizers'."""
        return {**super().state_dict(), "optimizers": {n: o.state_dict() for n, o in self.optimizers.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over `state_dict()`."""
        super().load_state_dict(state_dict)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state_dict["optimizers"][name])

    def _learn(self, name: str, loss: Tensor) -> None:
        self.optimizers[name].zero_grad()
        loss.backward()
        self.optimizers[name].step()
