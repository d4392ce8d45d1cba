"""Checkpoints of fast-reid's model zoo, of three generations of its code, under the names of the models here.

The rules that only rename are in `steploop.modeling.convert_names` ("fast-reid"); here is what else differs.
"""

import re
from collections.abc import Mapping
from typing import Any

from steploop.modeling import convert_names

# The config says the pixels' mean and deviation; files of 2020 and 2021 hold them too.
_PIXELS = ("pixel_mean", "pixel_std")
_OLD_NECK = "heads.bnneck."
_OLD_MGN = re.compile(r"b\d+_pool\.")


def convert_reid(state: Mapping[str, Any], expected: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a file's entries under the names of a re-ID model, whichever generation wrote it.

    A learned exponent of the pooling (heads.pool_layer.p) stays for a model that keeps it fixed: the pooling takes it.

    Args:
        state: name -> tensor, of the file.
        expected: name -> tensor, of the model.

    Raises:
        ValueError: the file is an MGN of 2020, which is another network.
    """
    if any(_OLD_MGN.match(name) for name in state):
        raise ValueError(
            "this is an MGN of fast-reid's first version: it has a normalisation and a ReLU between the pooling and "
            "each head, for which the MGN of today (and of this project) has no place. Train it again, or use another "
            "published model"
        )
    kept = {name: value for name, value in state.items() if name not in _PIXELS}
    if "heads.bottleneck.0.weight" in kept:
        # One release left a counter of its older neck behind.
        kept = {name: value for name, value in kept.items() if not name.startswith(_OLD_NECK)}
    return convert_names(kept, expected)


def number_of_classes(state: Mapping[str, Any]) -> int | None:
    """Return the number of identities that a file's classifier tells apart, or None if it has none."""
    for name in ("heads.weight", "heads.classifier.weight", "b1_head.weight", "b1_head.classifier.weight"):
        if name in state:
            return len(state[name])
    return None
