"""The config keys that only CenterFusion has."""

from steploop.config import CfgNode as CN
from steploop.data import add_sampler_config


def add_centerfusion_config(cfg: CN) -> None:
    """Add the keys of the CenterFusion project to `cfg`, in place."""
    add_sampler_config(cfg)
    cfg.MODEL.META_ARCHITECTURE = "CenterFusion"
    # BGR, in the range 0..1, as the published weights want it.
    cfg.MODEL.PIXEL_MEAN = [0.40789654, 0.44719302, 0.47026115]
    cfg.MODEL.PIXEL_STD = [0.28863828, 0.27408164, 0.27809835]
    cfg.MODEL.DLA = CN()
    # Channels of the trunk's six levels; the default is DLA-34.
    cfg.MODEL.DLA.CHANNELS = [16, 32, 64, 128, 256, 512]
    # Nodes of the upsampling: "dcn" (deformable), "conv" or "gcn".
    cfg.MODEL.DLA.NODE = "dcn"
    # A file with ImageNet weights of the trunk; "" starts from random weights.
    cfg.MODEL.DLA.PRETRAIN_PATH = ""
    cfg.MODEL.HEADS = CN()
    # Channels of the heads' hidden layers, and the number of hidden layers of the second stage.
    cfg.MODEL.HEADS.CHANNELS = 256
    cfg.MODEL.HEADS.SECONDARY_LAYERS = 3
    cfg.MODEL.RADAR = CN()
    # Use radar: CenterFusion. False is its CenterNet baseline, which sees the camera only.
    cfg.MODEL.RADAR.ENABLED = True
    # The published association paints the boxes of so many best cells, the worst last.
    cfg.MODEL.RADAR.NUM_BOXES = 100
    # Radar within so many half extents of a box belongs to it; 1.5 as published, 1 as meant.
    cfg.MODEL.RADAR.WINDOW = 1.5
    # Look up a box over the left or upper edge from the other edge, as published.
    cfg.MODEL.RADAR.WRAP_NEGATIVE = True
    # Only predicted boxes at maxima of 3x3 cells, with at least this score, and the best one painted last.
    cfg.MODEL.RADAR.ONLY_PEAKS = False
    cfg.MODEL.RADAR.MIN_SCORE = 0.0
    cfg.MODEL.RADAR.BEST_LAST = False
    # {output map: weight}
    cfg.MODEL.LOSS_WEIGHTS = CN()
    for name in ("hm", "reg", "dep", "dep_sec", "rot", "rot_sec", "dim", "amodel_offset", "nuscenes_att", "velocity"):
        cfg.MODEL.LOSS_WEIGHTS[name] = 1.0
    cfg.MODEL.LOSS_WEIGHTS["wh"] = 0.1
    # Height and width in pixels, multiples of 32.
    cfg.INPUT.SIZE = [448, 800]
    cfg.INPUT.FLIP_PROB = 0.5
    # Standard deviations of the shift of the centre, as a share of the longer side, and of the scale.
    cfg.INPUT.SHIFT = 0.0
    cfg.INPUT.SCALE = 0.0
    # In place of SHIFT and SCALE: any centre, and a scale of 0.6 to 1.3.
    cfg.INPUT.RANDOM_CROP = False
    # Draw brightness, contrast, saturation and lighting.
    cfg.INPUT.COLOR = True
    # A mirrored image has mirrored velocities; False as published.
    cfg.INPUT.FLIP_VELOCITY = False
    cfg.INPUT.MAX_OBJECTS = 128
    cfg.INPUT.RADAR = CN()
    # Sweeps of radar that convert.py joined; the name of its output folder.
    cfg.INPUT.RADAR.SWEEPS = 3
    # Radar points beyond this distance in metres are dropped; depths are divided by it.
    cfg.INPUT.RADAR.MAX_DISTANCE = 60.0
    # Added to the height of every radar point, in metres.
    cfg.INPUT.RADAR.Z_OFFSET = 0.0
    # Height, width and length of the pillar that stands on a radar point, in metres.
    cfg.INPUT.RADAR.PILLAR = [1.5, 0.2, 0.2]
    # Give the network empty radar maps: what is left without radar.
    cfg.INPUT.RADAR.EMPTY = False
    # Detections of an image, and the least score of one.
    cfg.TEST.NUM_DETECTIONS = 100
    cfg.TEST.MIN_SCORE = -1.0
    # Average the maps of each image and its mirror image.
    cfg.TEST.FLIP = False
    # The length of a predicted velocity along the predicted heading, as published; False takes it as predicted.
    cfg.TEST.VELOCITY_ALONG_HEADING = True
    # The published decoder adds the cell's offset twice to the 3D centre, and lifts boxes by half their height.
    cfg.TEST.PUBLISHED_CENTER = True
    # Samples that are drawn in each evaluation; 0 draws none.
    cfg.TEST.VIS_SAMPLES = 4
    # Draw precision-recall curves.
    cfg.TEST.RENDER_CURVES = True
    cfg.SOLVER.OPT = "Adam"
    cfg.SOLVER.BASE_LR = 1.25e-4
    cfg.SOLVER.WEIGHT_DECAY = 0.0
    cfg.SOLVER.WEIGHT_DECAY_NORM = None
    cfg.SOLVER.WARMUP_ITERS = 0
    cfg.SOLVER.IMS_PER_BATCH = 32
    cfg.TEST.IMS_PER_BATCH = 1
