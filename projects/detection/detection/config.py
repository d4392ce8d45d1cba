"""The config keys that only detection has."""

from steploop.config import CfgNode as CN


def add_detection_config(cfg: CN) -> None:
    """Add the keys of the detection project to `cfg`, in place."""
    cfg.MODEL.META_ARCHITECTURE = "Detector"
    # The detector as nested sections with "type", by MMDetection's names: the `model` of its configs.
    cfg.MODEL.SPEC = CN(new_allowed=True)
    # 0 takes the number of classes of the training set; another number must be it.
    cfg.MODEL.NUM_CLASSES = 0
    # Whose computation the weights expect: "mmdet" (ours), "torchvision" or "detectron2"; "auto" looks at the names in
    # MODEL.WEIGHTS. See flavours.py.
    cfg.MODEL.FLAVOUR = "auto"
    # Where MODEL.WEIGHTS was trained on other classes: take the rows of the classes that both have by name.
    cfg.MODEL.KEEP_CLASS_ROWS = True
    # A file with a backbone's weights, in torchvision's names; "" starts from random ones.
    cfg.MODEL.BACKBONE_WEIGHTS = ""
    # Of the channels, in the range 0..255 (the mean and standard deviation of ImageNet).
    cfg.MODEL.PIXEL_MEAN = [123.675, 116.28, 103.53]
    cfg.MODEL.PIXEL_STD = [58.395, 57.12, 57.375]
    # The order of the channels that PIXEL_MEAN and PIXEL_STD, and the weights, are for: "RGB" or "BGR".
    cfg.MODEL.PIXEL_ORDER = "RGB"
    # Data sets by the names in TRAIN, VAL and TEST: each is a spec with "type" (CocoDataset, RepeatDataset,
    # ConcatDataset, ClassBalancedDataset) and MMDetection's arguments.
    cfg.DATASETS.SPECS = CN(new_allowed=True)
    # The pipelines of specs that have none: lists of steps with "type".
    cfg.INPUT.TRAIN_PIPELINE = []
    cfg.INPUT.TEST_PIPELINE = []
    # Batches of upright images only, and of wide ones only.
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = True
    # The batch that BASE_LR is for; where IMS_PER_BATCH is another, BASE_LR is scaled with it. 0 never scales.
    cfg.SOLVER.REFERENCE_BATCH = 0
    # Every parameter decays, as in MMDetection.
    cfg.SOLVER.WEIGHT_DECAY_NORM = None
    cfg.TEST.IMS_PER_BATCH = 1
    # "bbox" (average precision of the detections) and "proposal" (average recall of the first stage).
    cfg.TEST.METRICS = ("bbox",)
    # Log and return the average precision of each class.
    cfg.TEST.CLASSWISE = True
    # Draw the detections above VIS_SCORE and the ground truth of so many images; 0 draws none.
    cfg.TEST.VIS_IMAGES = 8
    cfg.TEST.VIS_SCORE = 0.3
