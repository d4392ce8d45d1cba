"""The sampler that a config names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from steploop.config import CfgNode, Registry

from .config import with_sampler_config
from .grouped import GroupedSampler, GroupSampler, aspect_ratio_groups
from .repeat_factor import RepeatFactorTrainingSampler, repeat_factors
from .samplers import TrainingSampler
from .stream import StreamSampler
from .weighted import RandomSubsetTrainingSampler, WeightedTrainingSampler

SAMPLER_REGISTRY = Registry("SAMPLER")
"""Functions ``(cfg, items, seed) -> StreamSampler`` by the names of DATALOADER.SAMPLER_TRAIN; projects add theirs."""

Sizes = Callable[[], Sequence[tuple[float, float]]]


def build_train_sampler(cfg: CfgNode, items: Sequence[Any], seed: int, *, sizes: Sizes | None = None) -> StreamSampler:
    """Return the sampler that DATALOADER.SAMPLER_TRAIN names; with ASPECT_RATIO_GROUPING, in batches of one group.

    Args:
        cfg: the config.
        items: the data set. Some samplers read a field of its items, which are dicts or have attributes: the field
            DATALOADER.LABEL_FIELD or WEIGHT_FIELD, or for the grouping the two of SIZE_FIELDS.
        seed: the seed of all orders, >= 0.
        sizes: returns the (width, height) of each item, if the items do not have them; called only for the grouping.

    Raises:
        KeyError: no sampler has that name.
        ValueError: the items do not have the field that the sampler reads, or an option of it is out of range.
    """
    cfg = with_sampler_config(cfg)
    build: Callable[..., StreamSampler] = SAMPLER_REGISTRY.get(cfg.DATALOADER.SAMPLER_TRAIN)
    sampler = build(cfg, items, seed)
    if not cfg.DATALOADER.ASPECT_RATIO_GROUPING:
        return sampler
    groups = aspect_ratio_groups(_sizes(cfg, items) if sizes is None else sizes())
    # An epoch of a TrainingSampler has all items; GroupSampler keeps that, GroupedSampler does not.
    if type(sampler) is TrainingSampler:
        return GroupSampler(groups, cfg.SOLVER.IMS_PER_BATCH, seed=seed)
    return GroupedSampler(sampler, groups, cfg.SOLVER.IMS_PER_BATCH)


@SAMPLER_REGISTRY.register(name="TrainingSampler")
def build_training_sampler(cfg: CfgNode, items: Sequence[Any], seed: int) -> StreamSampler:
    """Return the stream with each item once per epoch."""
    return TrainingSampler(len(items), seed=seed)


@SAMPLER_REGISTRY.register(name="RepeatFactorTrainingSampler")
def build_repeat_factor_sampler(cfg: CfgNode, items: Sequence[Any], seed: int) -> StreamSampler:
    """Return the stream that repeats items with a rare label, by DATALOADER.REPEAT_THRESHOLD and REPEAT_SQRT."""
    options = cfg.DATALOADER
    labels = fields_of(items, options.LABEL_FIELD, "DATALOADER.LABEL_FIELD")
    factors = repeat_factors(labels, options.REPEAT_THRESHOLD, sqrt=options.REPEAT_SQRT)
    return RepeatFactorTrainingSampler(factors, seed=seed)


@SAMPLER_REGISTRY.register(name="WeightedTrainingSampler")
def build_weighted_sampler(cfg: CfgNode, items: Sequence[Any], seed: int) -> StreamSampler:
    """Return the stream that draws items with probabilities proportional to their weights."""
    weights = fields_of(items, cfg.DATALOADER.WEIGHT_FIELD, "DATALOADER.WEIGHT_FIELD")
    return WeightedTrainingSampler(np.array(weights, dtype=np.float64), seed=seed)


@SAMPLER_REGISTRY.register(name="RandomSubsetTrainingSampler")
def build_random_subset_sampler(cfg: CfgNode, items: Sequence[Any], seed: int) -> StreamSampler:
    """Return the stream of a random part of the items, of size DATALOADER.RANDOM_SUBSET_RATIO."""
    return RandomSubsetTrainingSampler(len(items), cfg.DATALOADER.RANDOM_SUBSET_RATIO, seed=seed)


def fields_of(items: Sequence[Any], name: str, key: str) -> list[Any]:
    """Return a field of each item, ``item[name]`` of a mapping or else ``item.name``; a 0-d tensor as a number.

    Args:
        items: mappings, or objects such as named tuples.
        name: of the field.
        key: of the config, which the error names.

    Raises:
        ValueError: an item has no such field.
    """
    values = []
    for index, item in enumerate(items):
        try:
            value = item[name] if isinstance(item, Mapping) else getattr(item, name)
        except (KeyError, AttributeError):
            raise ValueError(
                f"the sampler needs a field {name!r} of each item, a dict or named tuple; item {index} is "
                f"{item!r:.200} ({key} names the field, DATALOADER.SAMPLER_TRAIN the sampler)"
            ) from None
        values.append(value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value)
    return values


def _sizes(cfg: CfgNode, items: Sequence[Any]) -> list[tuple[float, float]]:
    key = "DATALOADER.SIZE_FIELDS"
    if len(cfg.DATALOADER.SIZE_FIELDS) != 2:
        raise ValueError(f"expected two names in {key}, of the width and the height; got {cfg.DATALOADER.SIZE_FIELDS}")
    width, height = (fields_of(items, name, key) for name in cfg.DATALOADER.SIZE_FIELDS)
    return list(zip(width, height))
