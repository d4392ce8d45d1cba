"""The config keys that the samplers read."""

from steploop.config import CfgNode as CN


def add_sampler_config(cfg: CN) -> None:
    """Add the keys of DATALOADER that choose the order of the training samples, in place.

    A second call changes nothing, so that each part of a project can add the keys that it reads.
    """
    if "SAMPLER_TRAIN" in cfg.DATALOADER:
        return
    # "TrainingSampler", "RepeatFactorTrainingSampler", "WeightedTrainingSampler" or "RandomSubsetTrainingSampler".
    cfg.DATALOADER.SAMPLER_TRAIN = "TrainingSampler"
    # RepeatFactorTrainingSampler: an item whose label has a share of the items below this threshold is repeated
    # sqrt(threshold / share) times.
    cfg.DATALOADER.REPEAT_THRESHOLD = 0.0
    # False repeats it threshold / share times: all labels below the threshold become equally frequent.
    cfg.DATALOADER.REPEAT_SQRT = True
    # RandomSubsetTrainingSampler: the share of the items that is used.
    cfg.DATALOADER.RANDOM_SUBSET_RATIO = 1.0
    # Each batch has only upright images or only wide ones; works with any sampler.
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    # Fields of the items: the label for RepeatFactorTrainingSampler, the weight for WeightedTrainingSampler, width
    # and height for ASPECT_RATIO_GROUPING.
    cfg.DATALOADER.LABEL_FIELD = "label"
    cfg.DATALOADER.WEIGHT_FIELD = "weight"
    cfg.DATALOADER.SIZE_FIELDS = ("width", "height")


def with_sampler_config(cfg: CN) -> CN:
    """Return `cfg`, or, if it does not have the keys of `add_sampler_config`, a copy with them.

    So DefaultTrainer's own builders also work with `get_cfg()` alone, in a notebook.
    """
    if "SAMPLER_TRAIN" in cfg.DATALOADER:
        return cfg
    filled = cfg.clone()
    filled.defrost()
    add_sampler_config(filled)
    if cfg.is_frozen():
        filled.freeze()
    return filled
