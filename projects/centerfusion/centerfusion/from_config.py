"""What the config says, as the options of the project's parts."""

from steploop.config import CfgNode

from .data.mapper import SampleOptions
from .data.pillars import PillarOptions
from .data.targets import TargetOptions
from .data.view import Augmentation
from .evaluation.boxes import DecodingOptions
from .modeling.association import Frustums


def frustums(cfg: CfgNode) -> Frustums:
    """Return how radar is associated with boxes."""
    radar = cfg.MODEL.RADAR
    return Frustums(
        max_distance=cfg.INPUT.RADAR.MAX_DISTANCE,
        window=radar.WINDOW,
        wrap_negative=radar.WRAP_NEGATIVE,
        num_boxes=radar.NUM_BOXES,
        only_peaks=radar.ONLY_PEAKS,
        min_score=radar.MIN_SCORE,
        best_last=radar.BEST_LAST,
    )


def sample_options(cfg: CfgNode) -> SampleOptions:
    """Return what a sample consists of.

    Raises:
        ValueError: a side of INPUT.SIZE is no multiple of 32, or a probability or a length is out of range.
    """
    height, width = cfg.INPUT.SIZE
    if height % 32 or width % 32 or min(height, width) <= 0:
        raise ValueError(f"INPUT.SIZE is height and width in multiples of 32 pixels, got {list(cfg.INPUT.SIZE)}")
    if not 0 <= cfg.INPUT.FLIP_PROB <= 1:
        raise ValueError(f"INPUT.FLIP_PROB is a probability, got {cfg.INPUT.FLIP_PROB}")
    if cfg.INPUT.RADAR.MAX_DISTANCE <= 0 or len(cfg.INPUT.RADAR.PILLAR) != 3:
        raise ValueError("INPUT.RADAR wants a positive MAX_DISTANCE, and height, width and length in PILLAR")
    if cfg.INPUT.MAX_OBJECTS < 1:
        raise ValueError(f"INPUT.MAX_OBJECTS is a number of objects, at least 1, got {cfg.INPUT.MAX_OBJECTS}")
    pillar_height, pillar_width, pillar_length = cfg.INPUT.RADAR.PILLAR
    return SampleOptions(
        size=(width, height),
        mean=cfg.MODEL.PIXEL_MEAN,
        std=cfg.MODEL.PIXEL_STD,
        augmentation=Augmentation(cfg.INPUT.FLIP_PROB, cfg.INPUT.SHIFT, cfg.INPUT.SCALE, cfg.INPUT.RANDOM_CROP),
        colours=cfg.INPUT.COLOR,
        targets=TargetOptions(cfg.INPUT.MAX_OBJECTS, cfg.INPUT.FLIP_VELOCITY),
        pillars=PillarOptions(
            max_distance=cfg.INPUT.RADAR.MAX_DISTANCE,
            z_offset=cfg.INPUT.RADAR.Z_OFFSET,
            size=(pillar_height, pillar_width, pillar_length),
        ),
        frustums=frustums(cfg),
        empty_radar=cfg.INPUT.RADAR.EMPTY,
    )


def decoding_options(cfg: CfgNode) -> DecodingOptions:
    """Return how detections become boxes."""
    return DecodingOptions(
        min_score=cfg.TEST.MIN_SCORE,
        published_center=cfg.TEST.PUBLISHED_CENTER,
        velocity_along_heading=cfg.TEST.VELOCITY_ALONG_HEADING,
    )
