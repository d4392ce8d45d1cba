"""One image of one identity."""

from typing import NamedTuple


class ReidItem(NamedTuple):
    """An image with its identity and camera.

    Attributes:
        img_path: the image file.
        pid: identity; for training 0..N-1, for testing as labelled (0 is a distractor that matches nobody).
        camid: camera, from 0.
        turns: quarter turns, counter-clockwise, by which the image is rotated when it is read.
    """

    img_path: str
    pid: int
    camid: int
    turns: int = 0
