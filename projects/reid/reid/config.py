"""The config keys of re-identification."""

from steploop.config import CfgNode as CN
from steploop.data import add_sampler_config
from steploop.modeling import add_backbone_config


def add_reid_config(cfg: CN) -> None:
    """Add the keys of the re-ID project, of the backbone and of the samplers to `cfg`, in place."""
    add_backbone_config(cfg)
    add_sampler_config(cfg)
    # "Baseline", "MGN" or "MoCo".
    cfg.MODEL.META_ARCHITECTURE = "Baseline"
    # MoCo: features in the memory; a multiple of IMS_PER_BATCH.
    cfg.MODEL.QUEUE_SIZE = 8192
    cfg.MODEL.BACKBONE.LAST_STRIDE = 1
    # Channels that the backbone must have; 0 does not check.
    cfg.MODEL.BACKBONE.EXPECTED_CHANNELS = 0
    cfg.MODEL.HEADS = CN()
    cfg.MODEL.HEADS.NAME = "EmbeddingHead"
    # 0 takes the number of identities of the training set.
    cfg.MODEL.HEADS.NUM_CLASSES = 0
    # Channels after an extra 1x1 convolution; 0 keeps the backbone's.
    cfg.MODEL.HEADS.EMBEDDING_DIM = 0
    # Batch normalisation between the pooled feature and the classifier (BNNeck, arXiv:1903.07071).
    cfg.MODEL.HEADS.WITH_BNNECK = True
    # Normalisation of that neck: "BN" or "SyncBN".
    cfg.MODEL.HEADS.NORM = "BN"
    # Which side of the neck the triplet loss sees: "before" or "after".
    cfg.MODEL.HEADS.NECK_FEAT = "before"
    # "GlobalAvgPool", "GlobalMaxPool", "AdaptiveAvgMaxPool", "GeneralizedMeanPooling", "GeneralizedMeanPoolingP",
    # "FastGlobalAvgPool", "ClipGlobalAvgPool", "Identity" or "Flatten".
    cfg.MODEL.HEADS.POOL_LAYER = "GlobalAvgPool"
    # "Linear", "CosSoftmax", "ArcSoftmax" or "CircleSoftmax", with the scale of its logits and its margin.
    cfg.MODEL.HEADS.CLS_LAYER = "Linear"
    cfg.MODEL.HEADS.SCALE = 1.0
    cfg.MODEL.HEADS.MARGIN = 0.0
    cfg.MODEL.LOSSES = CN()
    # Any of "CrossEntropyLoss", "FocalLoss", "TripletLoss", "CircleLoss" and "Cosface".
    cfg.MODEL.LOSSES.NAME = ("CrossEntropyLoss", "TripletLoss")
    # Let the losses on features (triplet, circle, cosface) see the batches of all processes, with gradient.
    cfg.MODEL.LOSSES.CROSS_RANK = False
    cfg.MODEL.LOSSES.CE = CN()
    # Label smoothing; negative smooths by the predicted probability times ALPHA.
    cfg.MODEL.LOSSES.CE.EPSILON = 0.1
    cfg.MODEL.LOSSES.CE.ALPHA = 0.2
    cfg.MODEL.LOSSES.CE.SCALE = 1.0
    # The focal loss (arXiv:1708.02002) in place of the cross entropy.
    cfg.MODEL.LOSSES.FL = CN()
    cfg.MODEL.LOSSES.FL.ALPHA = 0.25
    cfg.MODEL.LOSSES.FL.GAMMA = 2.0
    cfg.MODEL.LOSSES.FL.SCALE = 1.0
    cfg.MODEL.LOSSES.TRI = CN()
    # 0 means the soft margin.
    cfg.MODEL.LOSSES.TRI.MARGIN = 0.3
    cfg.MODEL.LOSSES.TRI.NORM_FEAT = False
    cfg.MODEL.LOSSES.TRI.HARD_MINING = True
    cfg.MODEL.LOSSES.TRI.SCALE = 1.0
    # The circle loss and CosFace over all pairs of a batch (arXiv:2002.10857).
    cfg.MODEL.LOSSES.CIRCLE = CN()
    cfg.MODEL.LOSSES.CIRCLE.MARGIN = 0.25
    cfg.MODEL.LOSSES.CIRCLE.GAMMA = 128.0
    cfg.MODEL.LOSSES.CIRCLE.SCALE = 1.0
    cfg.MODEL.LOSSES.COSFACE = CN()
    cfg.MODEL.LOSSES.COSFACE.MARGIN = 0.25
    cfg.MODEL.LOSSES.COSFACE.GAMMA = 128.0
    cfg.MODEL.LOSSES.COSFACE.SCALE = 1.0
    # Height and width in pixels.
    cfg.INPUT.SIZE_TRAIN = [256, 128]
    cfg.INPUT.SIZE_TEST = [256, 128]
    # Identities made of each one by rotation: 1, 2 (half a turn) or 4 (quarter turns).
    cfg.INPUT.TURNS = 1
    cfg.INPUT.FLIP = CN()
    cfg.INPUT.FLIP.ENABLED = True
    cfg.INPUT.FLIP.PROB = 0.5
    # Zero padding on each side, then a random crop back to SIZE_TRAIN.
    cfg.INPUT.PADDING = CN()
    cfg.INPUT.PADDING.ENABLED = True
    cfg.INPUT.PADDING.SIZE = 10
    # "constant" (zeros), "edge" or "reflect".
    cfg.INPUT.PADDING.MODE = "constant"
    # Random erasing (arXiv:1708.04896), with a colour in 0..255; [] is MODEL.PIXEL_MEAN.
    cfg.INPUT.REA = CN()
    cfg.INPUT.REA.ENABLED = True
    cfg.INPUT.REA.PROB = 0.5
    cfg.INPUT.REA.VALUE = []
    # Policies of AutoAugment for ImageNet (arXiv:1805.09501), with this probability.
    cfg.INPUT.AUTOAUG = CN()
    cfg.INPUT.AUTOAUG.ENABLED = False
    cfg.INPUT.AUTOAUG.PROB = 0.1
    # A random window in place of the whole image, scaled to SIZE; tests take the middle.
    cfg.INPUT.CROP = CN()
    cfg.INPUT.CROP.ENABLED = False
    cfg.INPUT.CROP.SIZE = [224, 224]
    cfg.INPUT.CROP.SCALE = [0.16, 1.0]
    cfg.INPUT.CROP.RATIO = [3 / 4, 4 / 3]
    # Brightness, contrast, saturation and hue, with this probability.
    cfg.INPUT.CJ = CN()
    cfg.INPUT.CJ.ENABLED = False
    cfg.INPUT.CJ.PROB = 0.5
    cfg.INPUT.CJ.BRIGHTNESS = 0.15
    cfg.INPUT.CJ.CONTRAST = 0.15
    cfg.INPUT.CJ.SATURATION = 0.1
    cfg.INPUT.CJ.HUE = 0.1
    # AugMix (arXiv:1912.02781), with this probability.
    cfg.INPUT.AUGMIX = CN()
    cfg.INPUT.AUGMIX.ENABLED = False
    cfg.INPUT.AUGMIX.PROB = 0.5
    # A patch of another training image, with this probability.
    cfg.INPUT.RPT = CN()
    cfg.INPUT.RPT.ENABLED = False
    cfg.INPUT.RPT.PROB = 0.5
    cfg.INPUT.AFFINE = CN()
    cfg.INPUT.AFFINE.ENABLED = False
    # Largest rotation in degrees, shift as a share of the side, scale range, and shear in degrees.
    cfg.INPUT.AFFINE.DEGREES = 10.0
    cfg.INPUT.AFFINE.TRANSLATE = 0.05
    cfg.INPUT.AFFINE.SCALE = [0.9, 1.1]
    cfg.INPUT.AFFINE.SHEAR = 5.0
    # Train on the queries and the galleries of DATASETS.TRAIN too.
    cfg.DATASETS.COMBINEALL = False
    # "IdentitySampler", fast-reid's "NaiveIdentitySampler", "BalancedIdentitySampler" and "ImbalancedDatasetSampler",
    # "WholeBatchSampler" (each image once, without an incomplete last batch), or one of the engine's.
    cfg.DATALOADER.SAMPLER_TRAIN = "IdentitySampler"
    cfg.DATALOADER.LABEL_FIELD = "pid"
    # Images of each identity in a batch (K of P x K).
    cfg.DATALOADER.NUM_INSTANCE = 4
    # "cosine" or "euclidean".
    cfg.TEST.METRIC = "cosine"
    # What comparing queries with a gallery may take beside their features, in MiB; it does not change the figures.
    cfg.TEST.MEMORY_MIB = 512
    # Orientations in which an image is looked at: 1, 2 (also upside down) or 4 (each quarter turn).
    cfg.TEST.TURNS = 1
    # Also look at the mirrored image, and take the mean of both embeddings.
    cfg.TEST.FLIP = CN()
    cfg.TEST.FLIP.ENABLED = False
    # Query expansion: each feature becomes the mean of its QE_K nearest (itself among them), weighted by the similarity
    # to the power of ALPHA, QE_TIME times. With RERANK too, figures often fall.
    cfg.TEST.AQE = CN()
    cfg.TEST.AQE.ENABLED = False
    cfg.TEST.AQE.QE_TIME = 1
    cfg.TEST.AQE.QE_K = 5
    cfg.TEST.AQE.ALPHA = 3.0
    # k-reciprocal re-ranking (arXiv:1701.08398): LAMBDA is the share of the original distance.
    cfg.TEST.RERANK = CN()
    cfg.TEST.RERANK.ENABLED = False
    cfg.TEST.RERANK.K1 = 20
    cfg.TEST.RERANK.K2 = 6
    cfg.TEST.RERANK.LAMBDA = 0.3
    # Also measure the share of pairs of one identity that is accepted where 1e-4, 1e-3 and 1e-2 of the others are.
    cfg.TEST.ROC = CN()
    cfg.TEST.ROC.ENABLED = False
    # "standard" (Market-1501), "single-shot" (CUHK03's first one) or "redrawn" (VehicleID): the last two are means over
    # NUM_DRAWS random galleries, the same ones in every run.
    cfg.TEST.PROTOCOL = "standard"
    cfg.TEST.NUM_DRAWS = 10
    # How many queries are drawn in the picture of ranked retrievals; 0 draws none.
    cfg.TEST.VIS_QUERIES = 6
    cfg.SOLVER.OPT = "Adam"
    cfg.SOLVER.BASE_LR = 3.5e-4
    cfg.SOLVER.WEIGHT_DECAY = 5e-4
    cfg.SOLVER.WEIGHT_DECAY_NORM = None
    # Also "EpochMultiStepLR" and "EpochCosineLR": fast-reid's, which move at the end of an epoch of EPOCH_ITERS
    # iterations; 0 is the number of training images // IMS_PER_BATCH.
    cfg.SOLVER.EPOCH_ITERS = 0
    # Clip the norm of each parameter group by itself.
    cfg.SOLVER.CLIP_GRADIENTS.PER_GROUP = False
    # Learning rate of the heads relative to BASE_LR.
    cfg.SOLVER.HEADS_LR_FACTOR = 1.0
    cfg.SOLVER.IMS_PER_BATCH = 64
