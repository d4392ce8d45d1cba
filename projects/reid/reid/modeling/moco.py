"""The baseline with a memory of earlier features, which batches are compared with (arXiv:1911.05722)."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploop.config import CfgNode, configurable
from steploop.engine import comm
from steploop.modeling import META_ARCH_REGISTRY, Backbone

from .baseline import Baseline
from .build_losses import Loss
from .cross_rank import gather
from .losses import queue_cosface
from .reid_model import Losses

_MARGIN, _GAMMA = 0.25, 32.0


class Memory(nn.Module):
    """A ring of the last K normalised features, with their identities.

    It starts with random features of identity 0, as in the published code.

    Args:
        dim: channels D of a feature.
        size: K; a multiple of the global batch.
    """

    queue: Tensor
    queue_label: Tensor
    queue_ptr: Tensor

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("queue", F.normalize(torch.randn(dim, size), dim=0))
        self.register_buffer("queue_label", torch.zeros(1, size, dtype=torch.int64))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, features: Tensor, targets: Tensor) -> Tensor:
        """Store the batch of all processes in place of the oldest; return the columns (B,) of this process's samples.

        Args:
            features: (B, D), normalised.
            targets: (B,).

        Raises:
            ValueError: the global batch does not divide K.
        """
        rows, count = gather(features), len(features) * comm.get_world_size()
        if self.size % count:
            raise ValueError(
                f"MODEL.QUEUE_SIZE {self.size} is no multiple of the batch of {count} images (SOLVER.IMS_PER_BATCH)"
            )
        places = (self.queue_ptr + torch.arange(count, device=features.device)) % self.size
        self.queue[:, places] = rows.T.to(self.queue.dtype)
        self.queue_label[0, places] = gather(targets)
        self.queue_ptr.add_(count).remainder_(self.size)
        return places.chunk(comm.get_world_size())[comm.get_rank()]


@META_ARCH_REGISTRY.register()
class MoCo(Baseline):
    """`Baseline` with one more loss, ``loss_mb``: the batch against the memory.

    Args:
        backbone: see `Baseline`.
        heads: see `Baseline`.
        losses: see `Baseline`.
        memory: of features as long as those of the heads.
        options: of `ReidModel`.
    """

    @configurable
    def __init__(
        self, backbone: Backbone, heads: nn.Module, *, losses: Mapping[str, Loss], memory: Memory, **options: Any
    ) -> None:
        super().__init__(backbone, heads, losses=losses, **options)
        self.memory = memory

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Return the parts that MODEL describes; QUEUE_SIZE is the memory's."""
        parts = super().from_config(cfg)
        embedding_dim = cfg.MODEL.HEADS.EMBEDDING_DIM if cfg.MODEL.HEADS.NECK_FEAT == "after" else 0
        backbone = parts["backbone"]
        channels = embedding_dim or backbone.output_shape()[backbone.last_output].channels
        return {**parts, "memory": Memory(channels, cfg.MODEL.QUEUE_SIZE)}

    def losses_of(self, images: Tensor, targets: Tensor) -> tuple[Losses, Losses]:
        """Return the losses by name, with ``loss_mb``, and the accuracy."""
        outputs = self.heads(self._feature_map(images), targets)
        losses, metrics = self._losses_of_outputs(outputs, targets)
        features = F.normalize(outputs.features, dim=1)
        own = self.memory.enqueue(features.detach(), targets)
        losses["loss_mb"] = queue_cosface(
            features, targets, self.memory.queue.T.clone(), self.memory.queue_label[0].clone(), own, _MARGIN, _GAMMA
        )
        return losses, metrics
