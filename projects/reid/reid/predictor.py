"""From images to features: the trained model of a run, for use outside of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from steploop.config import CfgNode, get_cfg
from steploop.data import read_image, sample_rng
from steploop.engine import DefaultPredictor

from .config import add_reid_config
from .data import build_test_transforms
from .fastreid import read_config
from .modeling.zoo import number_of_classes
from .trainer import ReidTrainer

ImageLike: TypeAlias = str | Path | np.ndarray | Image.Image

FINAL_WEIGHTS = "model_final.pth"


class ReidPredictor(DefaultPredictor):
    """Maps images to unit features, with the weights and the pixels of an evaluation.

    ::

        predictor = ReidPredictor(load_run_config("output/quickstart/config.yaml"))
        query, gallery = predictor("q.jpg"), predictor(["a.jpg", "b.jpg"])  # (1, D), (2, D)
        similarity = query @ gallery.T

    An image is a file, an array (H, W, 3) of uint8 in RGB, or a PIL image (turned upright by its EXIF orientation, as
    files are), of any size; or a list of them. One at a time is held in its own size, and TEST.IMS_PER_BATCH of them in
    the model's. MODEL.HEADS.NUM_CLASSES may be 0: the weights tell it.

    Returns:
        Features (N, D), float32, on the CPU, each of length 1: their products are cosines.

    Raises:
        FileNotFoundError, ValueError: a file is missing or no image, an array has another shape or type.
        TypeError: something else is given.
    """

    trainer_class = ReidTrainer

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(cfg)
        self._transform = build_test_transforms(self.cfg)

    @classmethod
    def complete_config(cls, cfg: CfgNode, weights: Mapping[str, Any]) -> None:
        """Take the number of identities from the classifier's weights, if the config leaves it open."""
        if cfg.MODEL.HEADS.NUM_CLASSES > 0:
            return
        count = number_of_classes(weights)
        if count is None:
            raise ValueError(
                f"{cfg.MODEL.WEIGHTS} has no heads.weight, which would tell the number of identities: set "
                "MODEL.HEADS.NUM_CLASSES to that of the training"
            )
        cfg.MODEL.HEADS.NUM_CLASSES = count

    def preprocess(self, one: ImageLike) -> Tensor:
        """Return an image as uint8 (3, H, W) in the size INPUT.SIZE_TEST."""
        # Nothing is random in these transforms; they ask for a generator all the same.
        return self._transform(to_image(one), sample_rng(0, 0))

    def collate(self, samples: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the batch of the model."""
        return {"images": torch.stack(list(samples))}

    def postprocess(self, outputs: Tensor) -> Tensor:
        """Return unit features, float32, on the CPU."""
        return torch.nn.functional.normalize(outputs.float()).cpu()


def to_image(one: ImageLike) -> Image.Image:
    """Return 8-bit RGB of a file, an array (H, W, 3) uint8 RGB or a PIL image.

    Raises:
        FileNotFoundError, ValueError: as `steploop.data.read_image`, also for deeper PIL images; an array of another
            shape or type.
        TypeError: something else is given.
    """
    if isinstance(one, str | Path):
        return read_image(one)
    if isinstance(one, Image.Image):
        if one.mode.startswith(("I", "F")):
            raise ValueError(f"a PIL image of mode {one.mode} is deeper than 8 bits: convert it to 8 bits")
        return ImageOps.exif_transpose(one).convert("RGB")
    if isinstance(one, np.ndarray):
        if one.dtype != np.uint8 or one.ndim != 3 or one.shape[2] != 3 or 0 in one.shape:
            raise ValueError(
                f"an array of an image is uint8 (H, W, 3) in RGB, got {one.dtype} {one.shape}; several are a list"
            )
        return Image.fromarray(one)
    raise TypeError(f"an image is a path, an array or a PIL image, got a {type(one).__name__}")


def load_run_config(config_file: str | Path = "", weights: str | Path = "", opts: Sequence[Any] = ()) -> CfgNode:
    """Return the frozen config with which trained weights are used; one of the two is enough.

    Without `weights`: MODEL.WEIGHTS of `opts`, else ``model_final.pth`` beside the file or in its OUTPUT_DIR
    (output/<name of the file>), else MODEL.WEIGHTS of the file. Without `config_file`: the ``config.yaml`` beside the
    weights. Without both: those of the run below output/ that ended last.

    Args:
        config_file: a run's config.yaml, or what it was trained with.
        weights: a checkpoint.
        opts: overrides, KEY VALUE and so on.

    Raises:
        FileNotFoundError: one of the two is not found; the error says where it was looked for.
        ValueError, KeyError, TypeError: the config is wrong.
    """
    weights = weights or dict(zip(opts[::2], opts[1::2])).get("MODEL.WEIGHTS", "")
    if not config_file:
        weights = weights or _newest_weights(Path("output"))
        config_file = Path(weights).parent / "config.yaml"
        if not config_file.is_file():
            raise FileNotFoundError(f"{config_file} is not there: name the config of {weights} with --config-file")
    cfg = get_cfg()
    add_reid_config(cfg)
    read_config(cfg, config_file, opts)
    cfg.MODEL.WEIGHTS = str(weights or _weights_of(cfg, Path(config_file)))
    cfg.freeze()
    return cfg


def _weights_of(cfg: CfgNode, config_file: Path) -> Path:
    """Return the final weights of a config's run, which are newer than those that it started from."""
    folders = [config_file.parent, Path(cfg.OUTPUT_DIR or Path("output", config_file.stem))]
    found = [path for path in (folder / FINAL_WEIGHTS for folder in folders) if path.is_file()]
    if found:
        return found[0]
    if cfg.MODEL.WEIGHTS:
        return Path(cfg.MODEL.WEIGHTS)
    raise FileNotFoundError(
        f"there are no weights for {config_file}: neither {' nor '.join(str(f / FINAL_WEIGHTS) for f in folders)} is "
        "there. Train it first, or name a checkpoint with MODEL.WEIGHTS"
    )


def _newest_weights(root: Path) -> Path:
    found = [path for path in root.glob(f"*/{FINAL_WEIGHTS}") if (path.parent / "config.yaml").is_file()]
    if not found:
        raise FileNotFoundError(
            f"no finished run is below {root}/: name a config with --config-file, or weights, or train one with "
            "python projects/reid/train_net.py --config-file projects/reid/configs/quickstart.yaml"
        )
    return max(found, key=lambda path: path.stat().st_mtime)
