"""Loads the pretrained weights of a new run, part by part of the model."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from torch import nn

from ..checkpoint import MINIMUM_SHARE, Convert, load_weights, read_checkpoint, unwrap
from ..checkpoint.ranks import attempted_by_all

logger = logging.getLogger(__name__)


class PartWeights(Protocol):
    """The weight file of a part of a model; see `steploop.modeling.PretrainedWeights`."""

    @property
    def path(self) -> str:
        """A weight file."""

    @property
    def ignore(self) -> tuple[str, ...]:
        """Prefixes of names in the file that are not reported as unused."""

    @property
    def convert(self) -> Convert:
        """Renames the file's entries to the names of the part."""


def load_pretrained(
    model: nn.Module, parts: Mapping[str, PartWeights], *, minimum_share: float = MINIMUM_SHARE
) -> None:
    """Load pretrained weights into parts of a model, as `DefaultTrainer` does for a new run.

    A script with a loop of its own calls ``load_pretrained(model, steploop.modeling.pretrained_parts(model))``.

    Args:
        model: changed in place; a wrapped one is unwrapped.
        parts: name of the module ("backbone"; "" is the model itself) -> its weights.
        minimum_share: the share of the part's weights, in 0..1, that its file must contain.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file is damaged or would run code, or less than `minimum_share` of it fits.
    """
    for name, weights in parts.items():
        try:
            state = attempted_by_all(partial(read_checkpoint, weights.path))["model"]
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error}. The new run is to start {name or 'the model'} from it: give an existing file, or set "
                'MODEL.BACKBONE.PRETRAIN_PATH to "" for random weights'
            ) from error
        logger.info("Starting %s from the weights in %s", name or "the model", weights.path)
        load_weights(
            unwrap(model).get_submodule(name),
            state,
            convert=weights.convert,
            ignore=weights.ignore,
            minimum_share=minimum_share,
            source=weights.path,
        )
