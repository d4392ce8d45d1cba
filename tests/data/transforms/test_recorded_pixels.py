"""The pixels and the draws of every transform, recorded before transforms drew geometries: a run's samples stay.

What Pillow computes is a part of some of them, and a version of it that rounds otherwise changes those.
"""

import hashlib

import numpy as np
import pytest
from PIL import Image

from steploop.data import (
    Compose,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    Resize,
    ResizeToTensor,
    Seeded,
    ToTensor,
    sample_rng,
)

TRAIN = [
    RandomFlip(),
    Pad(10),
    RandomCrop((128, 64)),
    RandomAffine(10, 0.1, (0.9, 1.1), 5),
    RandomErasing(value=[1, 2, 3]),
]

CASES = {
    "flip": (RandomFlip(), "pil tensor", "3a3fca65"),
    "pad": (Pad(3), "pil tensor", "f945d9c4"),
    "crop": (RandomCrop((90, 50)), "pil tensor", "22c055fb"),
    "affine": (RandomAffine(10, 0.1, (0.9, 1.1), 5), "pil tensor", "17908dc4"),
    "affine, large": (RandomAffine(40, 0.4, (0.5, 2.0), 20), "pil tensor", "80d11101"),
    "erasing": (RandomErasing(), "tensor", "59934a53"),
    "erasing in a colour": (RandomErasing(0.9, (0.1, 0.9), (0.1, 10), [300.0, 2.5, -1]), "tensor", "a461b5b4"),
    "resize": (Resize((70, 90)), "pil", "4a0ac13d"),
    "resize, nearest": (Resize((70, 90), "nearest"), "pil", "048ec896"),
    "resize, bicubic": (Resize((200, 30), "bicubic"), "pil", "f7ca3854"),
    "resize, lanczos": (Resize((200, 30), "lanczos"), "pil", "700775fc"),
    "doubled": (ResizeToTensor((256, 128)), "pil", "d4ed3f6a"),
    "resize to a tensor": (ResizeToTensor((100, 100)), "pil", "fff4fc95"),
    "to a tensor": (ToTensor(), "pil", "a8bbd400"),
    "foreign": (Seeded(lambda image: np.random.rand(3)), "pil", "24058b8b"),
    "re-ID's": (Compose(TRAIN), "tensor", "e1897a84"),
    "all": (Compose([Resize((128, 64)), *TRAIN[:-1], ToTensor(), TRAIN[-1]]), "pil", "e1897a84"),
}


def digest(transform, kind):
    pixels = np.random.default_rng(0).integers(0, 256, size=(128, 64, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image = ToTensor()(image) if kind == "tensor" else image
    found = hashlib.sha256()
    for position in range(12):
        rng = sample_rng(7, position)
        result = transform(image, rng)
        array = np.asarray(result)
        if isinstance(result, Image.Image):
            array = array.transpose(2, 0, 1)
        found.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes() + str(rng.random()).encode())
    return found.hexdigest()[:8]


@pytest.mark.parametrize("name", CASES)
def test_the_pixels_are_those_that_were_recorded(name):
    transform, kinds, expected = CASES[name]
    assert {digest(transform, kind) for kind in kinds.split()} == {expected}
