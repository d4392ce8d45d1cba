"""The config keys that only action recognition has."""

from steploop.config import CfgNode as CN


def add_action_config(cfg: CN) -> None:
    """Add the keys of the action project to `cfg`, in place."""
    cfg.MODEL.META_ARCHITECTURE = "Recognizer"
    # The recognizer as nested sections with "type", by MMAction2's names: the `model` of its configs.
    cfg.MODEL.SPEC = CN(new_allowed=True)
    # 0 takes the number of classes of the training set; another number must be at least that.
    cfg.MODEL.NUM_CLASSES = 0
    # A file with the weights of a 2D ResNet, in torchvision's names, that the backbone is inflated from; "" starts from
    # random ones.
    cfg.MODEL.BACKBONE_WEIGHTS = ""
    # Of the channels, RGB, in the range 0..255 (the mean and standard deviation of ImageNet).
    cfg.MODEL.PIXEL_MEAN = [123.675, 116.28, 103.53]
    cfg.MODEL.PIXEL_STD = [58.395, 57.12, 57.375]
    # Data sets by the names in TRAIN, VAL and TEST: each is a spec with "type" (VideoDataset, RawframeDataset,
    # ClassFolderDataset, CsvDataset, RepeatDataset, ConcatDataset) and MMAction2's arguments.
    cfg.DATASETS.SPECS = CN(new_allowed=True)
    # The pipelines of specs that have none: lists of steps with "type".
    cfg.INPUT.TRAIN_PIPELINE = []
    cfg.INPUT.TEST_PIPELINE = []
    # Keep decoded videos in files, so that each is decoded once: "raw", "jpeg" (10 to 15 times smaller); "" does not.
    cfg.DATALOADER.VIDEO_CACHE = ""
    # The folder of these files; "" is OUTPUT_DIR/video_cache. Runs with the same short side may share one.
    cfg.DATALOADER.VIDEO_CACHE_DIR = ""
    # MiB that they may take; videos that do not fit are decoded each time.
    cfg.DATALOADER.VIDEO_CACHE_MIB = 4096
    # Where the indexes of video files are kept; "" is the folder .video_index beside the videos.
    cfg.DATALOADER.VIDEO_INDEX_DIR = ""
    # Seconds that reading one video may take; 0 sets no limit.
    cfg.DATALOADER.VIDEO_TIMEOUT = 120.0
    # A video that cannot be read: "error" ends the run; "replace" takes another one, which follows from (seed,
    # position), and lists it in OUTPUT_DIR/broken_videos.txt. Evaluations always end.
    cfg.DATALOADER.BROKEN_VIDEOS = "error"
    # Every parameter decays, as in MMAction2.
    cfg.SOLVER.WEIGHT_DECAY_NORM = None
    # A checkpoint of any folder that a run goes on from, with its optimizer, step and schedule; --resume-from sets it.
    cfg.SOLVER.RESUME_FROM = ""
    cfg.TEST.IMS_PER_BATCH = 8
    # Most clips that go through the network at once in an evaluation; 0: all clips of a batch.
    cfg.TEST.MAX_VIEWS = 0
    # How the views of a video become one score: "prob" (mean of softmax) or "score" (mean of logits).
    cfg.TEST.AVERAGE_CLIPS = "prob"
    # k of the top-k accuracies; each is cut to the number of classes.
    cfg.TEST.TOPK = (1, 5)
    # Draw the clips of so many test videos with what was predicted; 0 draws none.
    cfg.TEST.VIS_CLIPS = 6
