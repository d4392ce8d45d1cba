"""Base class of predictors: runs a trained model on raw inputs, such as images."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch.utils.data import default_collate

from steploop.config import CfgNode

from ..checkpoint import load_weights, read_checkpoint
from .trainer import DefaultTrainer

logger = logging.getLogger(__name__)


class DefaultPredictor:
    """Runs the trained model of a config on one input or several.

    The model is in eval mode and has the weights of MODEL.WEIGHTS: the averaged ones (EMA) if the file has them, as in
    an evaluation. A project implements how an input becomes a sample::

        class Predictor(DefaultPredictor):
            trainer_class = Trainer

            def preprocess(self, image): ...

        predictor = Predictor(cfg)
        predictor(image), predictor([image, image])

    Args:
        cfg: the config that the model was trained with, with MODEL.WEIGHTS set; it is not changed.

    Attributes:
        trainer_class: the class whose `build_model` builds the model.
        cfg: the config, completed from the weights (see `complete_config`).
        model: the model, on MODEL.DEVICE.
        batch_size: the largest number of samples per forward pass, from TEST.IMS_PER_BATCH; it bounds the memory.

    Raises:
        ValueError: MODEL.WEIGHTS is empty, the file is damaged or lacks weights of the model; or TEST.IMS_PER_BATCH is
            below 1.
        FileNotFoundError: the file MODEL.WEIGHTS does not exist.
    """

    trainer_class: ClassVar[type[DefaultTrainer]] = DefaultTrainer

    def __init__(self, cfg: CfgNode) -> None:
        if not cfg.MODEL.WEIGHTS:
            raise ValueError("a predictor needs trained weights: set MODEL.WEIGHTS to a checkpoint")
        if cfg.TEST.IMS_PER_BATCH < 1:
            raise ValueError(f"TEST.IMS_PER_BATCH is at least 1 sample, got {cfg.TEST.IMS_PER_BATCH}")
        checkpoint = read_checkpoint(cfg.MODEL.WEIGHTS)
        average = averaged_weights(checkpoint)
        weights = checkpoint["model"] if average is None else average
        logger.info("Predicting with the %s of %s", "weights" if average is None else "averaged weights (EMA)",
                    cfg.MODEL.WEIGHTS)  # fmt: skip
        self.cfg = self._completed(cfg, weights)
        self.batch_size = self.cfg.TEST.IMS_PER_BATCH
        self.model = self.trainer_class.build_model(self.cfg)
        convert = self.trainer_class.build_name_conversion(self.cfg)
        if lacking := load_weights(self.model, weights, convert=convert, source=cfg.MODEL.WEIGHTS).initial:
            raise ValueError(
                f"{cfg.MODEL.WEIGHTS} lacks weights of this model ({_some(lacking)}), whose predictions would be "
                "random: give the config that they were trained with"
            )
        self.model.eval()

    def __call__(self, inputs: Any) -> Any:
        """Run the model on all inputs, `batch_size` at a time; return the outputs of all batches through `combine`.

        Args:
            inputs: a list or tuple of inputs; anything else is a single input.

        Raises:
            ValueError: the list is empty.
        """
        several = inputs if isinstance(inputs, list | tuple) else [inputs]
        if not several:
            raise ValueError("there is nothing to predict: the list of inputs is empty")
        batches = (several[start : start + self.batch_size] for start in range(0, len(several), self.batch_size))
        return self.combine([self.predict([self.preprocess(one) for one in batch]) for batch in batches])

    def predict(self, samples: Sequence[Any]) -> Any:
        """Return the outputs, through `postprocess`, for one batch of samples from `preprocess`."""
        with torch.no_grad():
            return self.postprocess(self.model(self.collate(samples)))

    # -- what a project overrides -----------------------------------------------------------------------

    @classmethod
    def complete_config(cls, cfg: CfgNode, weights: Mapping[str, Any]) -> None:
        """Set, in place, settings that the config leaves empty and the weights determine: the number of classes."""

    def preprocess(self, one: Any) -> Any:
        """Return the sample of one input; every project implements it."""
        raise NotImplementedError(
            f"{type(self).__name__} does not know how an input becomes a sample: implement preprocess(self, one)"
        )

    def collate(self, samples: Sequence[Any]) -> Any:
        """Return the samples as one batch for the model; by default with torch's `default_collate`."""
        return default_collate(list(samples))

    def postprocess(self, outputs: Any) -> Any:
        """Return the predictions of a batch; by default the model's outputs."""
        return outputs

    def combine(self, outputs: list[Any]) -> Any:
        """Return one result for all batches; by default concatenates tensors along dimension 0."""
        return torch.cat(outputs)

    def _completed(self, cfg: CfgNode, weights: Mapping[str, Any]) -> CfgNode:
        cfg = cfg.clone()
        frozen = cfg.is_frozen()
        cfg.defrost()
        self.complete_config(cfg, weights)
        if frozen:
            cfg.freeze()
        return cfg


def averaged_weights(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the weights that the hook EMA stores in a checkpoint of `DefaultTrainer`; None if there are none."""
    average: Any = checkpoint
    for key in ("trainer", "hooks", "EMA"):
        average = average.get(key) if isinstance(average, Mapping) else None
    return average or None


def _some(names: list[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
