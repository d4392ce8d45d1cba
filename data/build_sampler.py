"""The sampler that a config names."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from steploop.config import CfgNode, Registry

from .config import with_sampler_config
from .grouped import GroupSampler, aspect_ratio_groups
from .repeat_factor import RepeatFactorTrainingSampler, repeat_factors
from .samplers import TrainingSampler
from .stream import StreamSampler
from .weighted import RandomSubsetTrainingSampler, WeightedTrainingSampler

SAMPLER_REGISTRY = Registry("SAMPLER")
"""Functions ``(cfg, items, seed) -> StreamSampler`` by the names of DATALOADER.SAMPLER_TRAIN."""


def build_train_sampler(cfg: CfgNode, items: Sequence[Any], seed: int) -> StreamSampler:
    """Return the sampler that DATALOADER.SAMPLER_TRAIN names, or the one of DATALOADER.ASPECT_RATIO_GROUPING.

    Args:
        cfg: the config.
        items: the data set. Some samplers look at a field of its items, which are dicts: "label", "weight", or "width"
            and "height".
        seed: of all orders, >= 0.

    Raises:
        KeyError: no sampler has that name.
        ValueError: the items lack the field that the sampler looks at, or an option of it is out of range.
    """
    cfg = with_sampler_config(cfg)
    name = cfg.DATALOADER.SAMPLER_TRAIN
    if not cfg.DATALOADER.ASPECT_RATIO_GROUPING:
        build: Callable[..., StreamSampler] = SAMPLER_REGISTRY.get(name)
        return build(cfg, items, seed)
    if name != "TrainingSampler":
        raise ValueError(
            "DATALOADER.ASPECT_RATIO_GROUPING orders the whole data set, so it goes with DATALOADER.SAMPLER_TRAIN "
            f"'TrainingSampler' only, not with {name!r}"
        )
    sizes = list(zip(_field(items, "width"), _field(items, "height")))
    return GroupSampler(aspect_ratio_groups(sizes), cfg.SOLVER.IMS_PER_BATCH, seed=seed)


@SAMPLER_REGISTRY.register(name="TrainingSampler")
def build_training_sampler(cfg: CfgNode, items: Sequence[Any], seed: int) -> StreamSampler:
    """Return the stream that holds each item once in an epoch."""
    return TrainingSampler(len(items), seed=seed)


@SAMPLER_REGISTRY.register(name="RepeatFactorTrainingSampler")
def build_repeat_factor_sampler(cfg: CfgNode, items: Sequence[Any], seed: int) -> StreamSampler:
    """Return the stream that repeats items with a rare "label", by DATALOADER.REPEAT_THRESHOLD and REPEAT_SQRT."""
    options = cfg.DATALOADER
    factors = repeat_factors(_field(items, "label"), options.REPEAT_THRESHOLD, sqrt=options.REPEAT_SQRT)
    return RepeatFactorTrainingSampler(factors, seed=seed)


@SAMPLER_REGISTRY.register(name="WeightedTrainingSampler")
def build_weighted_sampler(cfg: CfgNode, items: Sequence[Any], seed: int) -> StreamSampler:
    """Return the stream that draws each item as often as its "weight" says."""
    return WeightedTrainingSampler(np.array(_field(items, "weight"), dtype=np.float64), seed=seed)


@SAMPLER_REGISTRY.register(name="RandomSubsetTrainingSampler")
def build_random_subset_sampler(cfg: CfgNode, items: Sequence[Any], seed: int) -> StreamSampler:
    """Return the stream of a random part of the items, of size DATALOADER.RANDOM_SUBSET_RATIO."""
    return RandomSubsetTrainingSampler(len(items), cfg.DATALOADER.RANDOM_SUBSET_RATIO, seed=seed)


def _field(items: Sequence[Any], name: str) -> list[Any]:
    """Return a field of each item; a 0-d tensor or numpy scalar as a number."""
    values = []
    for index, item in enumerate(items):
        try:
            value = item[name]
        except (KeyError, TypeError, IndexError):
            raise ValueError(
                f"the sampler needs a field {name!r} of each item, a dict; item {index} is {item!r:.200} "
                "(DATALOADER.SAMPLER_TRAIN)"
            ) from None
        values.append(value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value)
    return values
