"""Small data sets in the layout of Market-1501."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (16, 8)  # height and width


def write_image(path: Path, seed: int = 0) -> Path:
    """Write a small image of noise; every seed gives another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size=(*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_folders(
    root: Path,
    train: Sequence[str] = ("0002_c1s1_000001_01.jpg",),
    query: Sequence[str] = ("0003_c1s1_000001_01.jpg",),
    gallery: Sequence[str] = ("0003_c2s1_000001_01.jpg",),
) -> Path:
    """Write files of these names; what is in them does not matter to who only reads names."""
    for folder, names in (("bounding_box_train", train), ("query", query), ("bounding_box_test", gallery)):
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).write_bytes(b"no image")
    return root


def write_market(root: Path, *, num_train: int = 4, num_test: int = 2, num_cams: int = 2, per_camera: int = 2) -> Path:
    """Write real images: each identity before each camera, the first of a test identity's as query."""
    seed = 0
    for pid in range(1, num_train + num_test + 1):
        for camera in range(1, num_cams + 1):
            for number in range(per_camera):
                test = "bounding_box_test" if number else "query"
                folder = "bounding_box_train" if pid <= num_train else test
                write_image(root / folder / f"{pid:04d}_c{camera}s1_{seed:06d}_00.png", seed)
                seed += 1
    return root
