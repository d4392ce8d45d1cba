"""The config keys that the samplers read."""

from steploop.config import CfgNode as CN


def add_sampler_config(cfg: CN) -> None:
    """Add the keys of DATALOADER that choose the order of the training samples, in place.

    A second call changes nothing, so that several parts of a project can each add what they read.
    """
    if "SAMPLER_TRAIN" in cfg.DATALOADER:
        return
    # "TrainingSampler", "RepeatFactorTrainingSampler", "WeightedTrainingSampler" or "RandomSubsetTrainingSampler".
    cfg.DATALOADER.SAMPLER_TRAIN = "TrainingSampler"
    # RepeatFactorTrainingSampler: items come sqrt(threshold / share) times where fewer than this share has their label.
    cfg.DATALOADER.REPEAT_THRESHOLD = 0.0
    # Without the root, all labels below the threshold become equally frequent.
    cfg.DATALOADER.REPEAT_SQRT = True
    # RandomSubsetTrainingSampler: the share of the items that is trained on.
    cfg.DATALOADER.RANDOM_SUBSET_RATIO = 1.0
    # Batches of upright images only, and of wide ones only; with any sampler.
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    # Fields of the items: the label for RepeatFactorTrainingSampler, the weight for WeightedTrainingSampler, width
    # and height for ASPECT_RATIO_GROUPING.
    cfg.DATALOADER.LABEL_FIELD = "label"
    cfg.DATALOADER.WEIGHT_FIELD = "weight"
    cfg.DATALOADER.SIZE_FIELDS = ("width", "height")


def with_sampler_config(cfg: CN) -> CN:
    """Return `cfg`, or a copy that has the keys of `add_sampler_config` too where it lacks them.

    So a trainer of `DefaultTrainer`'s own builders can be made from `get_cfg()` alone, in a notebook.
    """
    if "SAMPLER_TRAIN" in cfg.DATALOADER:
        return cfg
    filled = cfg.clone()
    filled.defrost()
    add_sampler_config(filled)
    if cfg.is_frozen():
        filled.freeze()
    return filled
