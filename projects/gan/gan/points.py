"""Points of the plane: real ones, and how near generated ones come."""

import math
from pathlib import Path

import torch
from torch import Tensor

SPREAD = 0.05
CORNERS = torch.view_as_real(torch.polar(torch.ones(8), torch.arange(8) * (math.pi / 4)))


def ring(count: int) -> Tensor:
    """Draw points (count, 2) about the corners of an octagon of radius 1, normally distributed with SPREAD."""
    return CORNERS[torch.randint(len(CORNERS), (count,))] + SPREAD * torch.randn(count, 2)


def measure(points: Tensor) -> dict[str, float]:
    """Return the percentage of points (N, 2) within 4 SPREAD of a corner, and the least share that a corner gets."""
    distance, corner = torch.cdist(points, CORNERS).min(dim=1)
    shares = torch.bincount(corner[distance < 4 * SPREAD], minlength=len(CORNERS)) / len(points)
    return {"near": 100 * shares.sum().item(), "rarest": 100 * shares.min().item()}


def draw(points: Tensor, path: Path, size: int = 300) -> None:
    """Write a grey picture of points (N, 2) in -1.5..1.5, dark where there are many."""
    from PIL import Image

    column, row = ((points * torch.tensor([1.0, -1.0]) + 1.5) / 3 * size).long().clamp(0, size - 1).unbind(dim=1)
    counts = torch.bincount(row * size + column, minlength=size * size).reshape(size, size)
    Image.fromarray((255 * 0.6**counts).byte().numpy()).save(path)
