"""One picture: a person who walks past a camera, and what gets in the way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .camera import FRAME, Camera, develop
from .clothes import Wardrobe, dress
from .figure import Pose, draw_person
from .people import Person

# Height and width of a picture, and how much larger it is drawn.
SIZE = (128, 64)
_SCALE = 2
# Share of the pictures in which something hides a part of the person.
_OCCLUDED = 0.25


@dataclass(frozen=True)
class Walker:
    """A person with the clothes already painted."""

    person: Person
    wardrobe: Wardrobe


def get_ready(people: Sequence[Person]) -> list[Walker]:
    """Paint everybody's clothes, once for all pictures."""
    return [Walker(person, dress(person)) for person in people]


def take_picture(
    walker: Walker | None, camera: Camera, rng: np.random.Generator, passers: Sequence[Walker] = ()
) -> Image.Image:
    """Return a picture of SIZE.

    Args:
        walker: Who is in its middle; None makes a bad detection: background, or a part of a passer-by.
        camera: Through which camera.
        rng: Where pose, place and everything else that changes comes from.
        passers: Who may walk in between.
    """
    rows, columns = _SCALE * SIZE[0], _SCALE * SIZE[1]
    top, left = rng.integers(0, FRAME[0] - rows + 1), rng.integers(0, FRAME[1] - columns + 1)
    canvas = camera.background[top : top + rows, left : left + columns].copy()
    if walker is not None:
        foot = (columns * rng.uniform(0.44, 0.56), rows * rng.uniform(0.93, 0.98))
        _place(canvas, walker, camera, rng, foot, camera.zoom * rng.uniform(0.95, 1.05))
    if passers and rng.random() < (_OCCLUDED if walker is not None else 0.6):
        _hide_a_part(canvas, camera, rng, passers)
    return develop(canvas, camera, SIZE, rng)


def _place(
    canvas: np.ndarray,
    walker: Walker,
    camera: Camera,
    rng: np.random.Generator,
    foot: tuple[float, float],
    zoom: float,
) -> None:
    # Most people follow the way, some walk against it.
    against = np.pi if rng.random() < 0.2 else 0.0
    stride = rng.uniform(0.15, 0.5)
    pose = Pose(
        heading=camera.heading + against + rng.normal(0, 0.4),
        phase=rng.uniform(0, 2 * np.pi),
        stride=stride,
        swing=stride * rng.uniform(0.5, 1.1),
        elbow=rng.uniform(0.1, 0.6),
        tilt=camera.tilt,
    )
    draw_person(canvas, walker.person, walker.wardrobe, pose, camera.light, foot=foot, height=zoom * canvas.shape[0])


def _hide_a_part(canvas: np.ndarray, camera: Camera, rng: np.random.Generator, passers: Sequence[Walker]) -> None:
    rows, columns = canvas.shape[:2]
    kind = rng.integers(4)
    if kind == 0:  # somebody at the border
        passer = passers[int(rng.integers(len(passers)))]
        side = columns * (rng.uniform(-0.12, 0.02) if rng.random() < 0.5 else rng.uniform(0.98, 1.12))
        _place(canvas, passer, camera, rng, (side, rows * rng.uniform(1.0, 1.1)), camera.zoom * 1.1)
        return
    image = Image.fromarray(canvas.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    grey = int(rng.integers(60, 140))
    if kind == 1:  # a pole
        x, width = columns * rng.uniform(0.1, 0.9), rng.uniform(6, 12)
        draw.rectangle((x, 0, x + width, rows), fill=(grey, grey, grey))
        draw.rectangle((x, 0, x + width / 4, rows), fill=(grey + 40, grey + 40, grey + 40))
    elif kind == 2:  # a box or a wall in front of the feet
        y, x = rows * rng.uniform(0.78, 0.9), columns * rng.uniform(-0.2, 0.5)
        box = (x, y, x + columns * rng.uniform(0.5, 0.9), rows)
        draw.rectangle(box, fill=(grey, grey * 9 // 10, grey * 8 // 10))
        draw.rectangle((*box[:3], y + 4), fill=(grey + 30, grey + 24, grey + 18))
    else:  # a bush
        x = columns * (rng.uniform(0, 0.2) if rng.random() < 0.5 else rng.uniform(0.8, 1.0))
        for _ in range(26):
            dx, dy = rng.normal(0, 15), rng.normal(0, 26)
            leaf = int(rng.integers(60, 110))
            centre = (x + dx, rows * 0.9 + dy)
            box = (centre[0] - 8, centre[1] - 6, centre[0] + 8, centre[1] + 6)
            draw.ellipse(box, fill=(leaf * 6 // 10, leaf, leaf * 5 // 10))
    canvas[:] = np.asarray(image, dtype=np.float32)
