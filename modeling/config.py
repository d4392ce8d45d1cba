"""The config keys that the building blocks read."""

from steploop.config import CfgNode as CN


def add_backbone_config(cfg: CN) -> None:
    """Add MODEL.BACKBONE and the pixel statistics that it expects, MODEL.PIXEL_MEAN and PIXEL_STD, in place.

    A second call changes nothing, so that each part of a project can add the keys that it reads.
    """
    if "BACKBONE" in cfg.MODEL:
        return
    # RGB, in the range 0..255 (the mean and standard deviation of ImageNet).
    cfg.MODEL.PIXEL_MEAN = [123.675, 116.28, 103.53]
    cfg.MODEL.PIXEL_STD = [58.395, 57.12, 57.375]
    cfg.MODEL.BACKBONE = CN()
    cfg.MODEL.BACKBONE.NAME = "build_resnet_backbone"
    # Which network of its kind: 18, 34, 50, 101 or 152 for a ResNet, a name such as "x1_0" or "b0" for others. Its
    # first value says that it takes any type.
    cfg.MODEL.BACKBONE.DEPTH = None
    cfg.MODEL.BACKBONE.DEPTH = 50
    # Channels of the first stage; 64 is the published network.
    cfg.MODEL.BACKBONE.WIDTH = 64
    # Stride of the last stage: 1 keeps twice the resolution for re-identification.
    cfg.MODEL.BACKBONE.LAST_STRIDE = 2
    # "imagenet": 7x7 stride 2, then max pooling; "small": 3x3 stride 1 and no pooling, for small images.
    cfg.MODEL.BACKBONE.STEM = "imagenet"
    # The stem's max pooling: "pad" (padding 1, as torchvision) or "ceil" (padding 0, ceil_mode, as fast-reid).
    cfg.MODEL.BACKBONE.STEM_POOL = "pad"
    # Half instance, half batch normalisation in the first three stages (IBN-a, arXiv:1807.09441).
    cfg.MODEL.BACKBONE.WITH_IBN = False
    # Non-local blocks behind some blocks of the second and third stage (arXiv:1711.07971); depth 50 and 101.
    cfg.MODEL.BACKBONE.WITH_NL = False
    # Squeeze and excitation in each block (arXiv:1709.01507).
    cfg.MODEL.BACKBONE.WITH_SE = False
    # "BN", "SyncBN", "FrozenBN", "GhostBN" or "GN".
    cfg.MODEL.BACKBONE.NORM = "BN"
    # Which convolution of a bottleneck has the stride: "pytorch" (3x3, torchvision) or "caffe" (1x1, detectron2).
    cfg.MODEL.BACKBONE.STYLE = "pytorch"
    # Outputs that the backbone returns: "stem", "res2", ..., "res5"; later stages than the last of them are not built.
    cfg.MODEL.BACKBONE.OUT_FEATURES = ["res5"]
    # The stem and this number of stages neither train nor update statistics; 0 is the stem alone, -1 freezes nothing.
    cfg.MODEL.BACKBONE.FROZEN_STAGES = -1
    # Do not update the statistics of batch normalisation; its scales and shifts train.
    cfg.MODEL.BACKBONE.NORM_EVAL = False
    # Initialise the scale of each block's last normalisation to 0, so that the block starts as the identity.
    cfg.MODEL.BACKBONE.ZERO_INIT_RESIDUAL = False
    # Vision transformers: height and width of the images, stride of the patches of 16x16, and the shares of dropout:
    # of values, of the attention's weights, of whole samples.
    cfg.MODEL.BACKBONE.IMAGE_SIZE = [256, 128]
    cfg.MODEL.BACKBONE.STRIDE_SIZE = [16, 16]
    cfg.MODEL.BACKBONE.DROP_RATIO = 0.0
    cfg.MODEL.BACKBONE.ATT_DROP_RATE = 0.0
    cfg.MODEL.BACKBONE.DROP_PATH_RATIO = 0.1
    # A file with ImageNet weights; "" starts from random weights. It is read only by a new run without MODEL.WEIGHTS.
    cfg.MODEL.BACKBONE.PRETRAIN_PATH = ""
