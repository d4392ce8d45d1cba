"""Where people walk: a camera with its background, light, colours, sharpness and point of view."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .people import Colour
from .tube import Light

# A frame is what one picture is cut out of, larger than a picture so that its cut may move. Pixels, rows first.
FRAME = (288, 168)
# Row of a frame where the ground begins.
_HORIZON = 150


@dataclass(frozen=True)
class Camera:
    """What all pictures of one camera share.

    Attributes:
        background: float32 FRAME + (3,), 0..255.
        light: What lights the people.
        gain: (3,) factor of red, green and blue.
        contrast: Factor of the distance from middle grey.
        blur: Radius of the blur at twice the size of a picture, in pixels.
        noise: Standard deviation of the sensor's noise, 0..255.
        tilt: How far it looks down, in radians.
        heading: Where most people walk, in radians: 0 to the camera, pi / 2 to the right.
        zoom: Height of an average person relative to the picture.
        quality: Of the JPEG files.
    """

    background: np.ndarray
    light: Light
    gain: np.ndarray
    contrast: float
    blur: float
    noise: float
    tilt: float
    heading: float
    zoom: float
    quality: int


def make_camera(index: int, rng: np.random.Generator) -> Camera:
    """Return camera number `index`: places and points of view take turns, all else is drawn from `rng`."""
    paint = (_paint_street, _paint_bricks, _paint_park, _paint_corridor, _paint_plaza, _paint_shops)[index % 6]
    image = Image.new("RGB", FRAME[::-1])
    paint(image, ImageDraw.Draw(image), rng)
    soft = image.filter(ImageFilter.GaussianBlur(1.6))
    grain = rng.normal(0, 3.0, size=(*FRAME, 1)).astype(np.float32)
    # Warm, cool, greenish, ...: opposite tints follow each other, so that colours change from camera to camera.
    warmth = (1 if index % 2 else -1) * rng.uniform(0.1, 0.24)
    green = rng.uniform(-0.12, 0.12)
    exposure = rng.uniform(0.68, 1.22)
    return Camera(
        background=np.asarray(soft, dtype=np.float32) + grain,
        light=Light(angle=rng.uniform(-1.2, 1.2), ambient=rng.uniform(0.45, 0.65), diffuse=rng.uniform(0.4, 0.6)),
        gain=np.array([1 + warmth, 1 + green, 1 - warmth], dtype=np.float32) * np.float32(exposure),
        contrast=rng.uniform(0.78, 1.12),
        blur=rng.uniform(0.2, 1.3),
        noise=rng.uniform(1.5, 5.0),
        tilt=rng.uniform(0.02, 0.3),
        heading=(0.3, np.pi, np.pi / 2, -0.5, -np.pi / 2, np.pi + 0.6)[index % 6] + rng.uniform(-0.25, 0.25),
        zoom=rng.uniform(0.84, 0.92),
        quality=int(rng.integers(72, 94)),
    )


def develop(frame: np.ndarray, camera: Camera, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return what `camera` makes of a frame at twice the size of a picture.

    Args:
        frame: float32 (2 H, 2 W, 3), 0..255.
        camera: Its colours, sharpness and noise.
        size: (H, W) of the picture.
        rng: Where the noise comes from.
    """
    light = (frame * camera.gain - 128) * np.float32(camera.contrast) + 128
    image = Image.fromarray(light.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(camera.blur))
    small = np.asarray(image.resize(size[::-1], Image.Resampling.BOX), dtype=np.float32)
    noisy = small + rng.normal(0, camera.noise, size=small.shape).astype(np.float32)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _shade(draw: ImageDraw.ImageDraw, rows: tuple[int, int], top: Colour, bottom: Colour) -> None:
    """Fill rows with a colour that changes from the first to the last."""
    first, last = rows
    for row in range(first, last):
        share = (row - first) / max(last - first - 1, 1)
        colour = tuple(round(a + (b - a) * share) for a, b in zip(top, bottom))
        draw.line((0, row, FRAME[1], row), fill=colour)


def _paint_street(image: Image.Image, draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _shade(draw, (0, _HORIZON), (176, 192, 208), (214, 214, 208))
    left = -10
    while left < FRAME[1]:
        width, height = (int(n) for n in rng.integers((30, 70), (58, 140)))
        wall = tuple(int(c) for c in rng.integers(95, 175, size=3) // 2 + 45)
        draw.rectangle((left, _HORIZON - height, left + width, _HORIZON), fill=wall)
        for row in range(_HORIZON - height + 8, _HORIZON - 14, 20):
            for column in range(left + 6, left + width - 8, 14):
                draw.rectangle((column, row, column + 7, row + 10), fill=(70, 84, 98))
        left += width
    _shade(draw, (_HORIZON, FRAME[0]), (122, 120, 118), (150, 146, 140))
    draw.rectangle((0, _HORIZON, FRAME[1], _HORIZON + 5), fill=(178, 174, 166))
    for column in range(-40, FRAME[1] + 40, 46):
        draw.line((column, _HORIZON + 6, column * 2 - 84, FRAME[0]), fill=(112, 110, 108), width=2)


def _paint_bricks(image: Image.Image, draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, *FRAME[::-1]), fill=(168, 160, 150))
    for line, row in enumerate(range(0, _HORIZON + 20, 10)):
        for column in range(-20 + 12 * (line % 2), FRAME[1], 24):
            red = int(rng.integers(120, 160))
            draw.rectangle((column, row, column + 22, row + 8), fill=(red, red * 62 // 100, red * 52 // 100))
    _shade(draw, (_HORIZON + 20, FRAME[0]), (110, 106, 104), (138, 134, 130))
    draw.rectangle((0, _HORIZON + 14, FRAME[1], _HORIZON + 20), fill=(92, 88, 86))


def _paint_park(image: Image.Image, draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _shade(draw, (0, _HORIZON), (188, 206, 220), (206, 216, 200))
    for _ in range(9):
        x, size = int(rng.integers(-10, FRAME[1] + 10)), int(rng.integers(26, 46))
        draw.rectangle((x - 4, _HORIZON - 50, x + 4, _HORIZON + 4), fill=(88, 70, 54))
        for _ in range(14):
            dx, dy = (int(n) for n in rng.normal(0, size / 2.4, size=2))
            leaf = int(rng.integers(70, 120))
            box = (x + dx - 13, _HORIZON - 78 + dy - 11, x + dx + 13, _HORIZON - 78 + dy + 11)
            draw.ellipse(box, fill=(leaf * 6 // 10, leaf, leaf * 5 // 10))
    _shade(draw, (_HORIZON, FRAME[0]), (112, 138, 82), (134, 156, 96))
    path = [(60, _HORIZON), (112, _HORIZON), (FRAME[1] + 24, FRAME[0]), (-24, FRAME[0])]
    draw.polygon(path, fill=(184, 170, 144))


def _paint_corridor(image: Image.Image, draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    middle, far = FRAME[1] // 2, _HORIZON - 40
    draw.rectangle((0, 0, *FRAME[::-1]), fill=(206, 204, 196))
    draw.polygon(
        [(0, FRAME[0]), (middle - 22, far + 34), (middle + 22, far + 34), (FRAME[1], FRAME[0])], fill=(142, 138, 132)
    )
    draw.polygon([(0, 0), (middle - 22, far - 34), (middle + 22, far - 34), (FRAME[1], 0)], fill=(226, 226, 222))
    draw.rectangle((middle - 22, far - 34, middle + 22, far + 34), fill=(160, 164, 170))
    for step in (0.25, 0.5, 0.75):
        for side in (-1, 1):
            x = middle + side * (22 + (middle - 22) * step)
            top, bottom = far - 26 - 60 * step, far + 34 + (FRAME[0] - far - 34) * step
            draw.rectangle((x - 7, top, x + 7, bottom), fill=tuple(int(c) for c in rng.integers(90, 140, size=3)))
        row = far + 34 + (FRAME[0] - far - 34) * step
        draw.line((0, row, FRAME[1], row), fill=(128, 124, 120), width=2)
        light = far - 34 - (far - 34) * step
        draw.ellipse((middle - 16 * step - 4, light - 4, middle + 16 * step + 4, light + 4), fill=(252, 252, 246))


def _paint_plaza(image: Image.Image, draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _shade(draw, (0, _HORIZON - 20), (206, 210, 214), (190, 192, 194))
    for column in range(-8, FRAME[1], 42):  # columns of a gallery
        draw.rectangle((column + 10, 0, column + 42, _HORIZON - 20), fill=(112, 108, 106))
        draw.rectangle((column, 0, column + 12, _HORIZON - 12), fill=(200, 192, 178))
    _shade(draw, (_HORIZON - 12, FRAME[0]), (172, 166, 158), (196, 190, 180))
    middle = FRAME[1] // 2
    for column in range(-8, 9):
        draw.line((middle + 12 * column, _HORIZON - 12, middle + 46 * column, FRAME[0]), fill=(150, 144, 138))
    row, pitch = float(_HORIZON - 12), 5.0
    while row < FRAME[0]:
        draw.line((0, row, FRAME[1], row), fill=(150, 144, 138))
        row, pitch = row + pitch, pitch * 1.45


def _paint_shops(image: Image.Image, draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, *FRAME[::-1]), fill=(96, 92, 90))
    for column in range(-12, FRAME[1], 62):
        glow = int(rng.integers(150, 215))
        draw.rectangle((column, 30, column + 54, _HORIZON), fill=(glow, glow * 94 // 100, glow * 78 // 100))
        for _ in range(7):  # goods in the window
            x, y = int(rng.integers(column + 2, column + 44)), int(rng.integers(56, _HORIZON - 26))
            box = (x, y, x + int(rng.integers(5, 12)), y + int(rng.integers(10, 26)))
            draw.rectangle(box, fill=tuple(int(c) for c in rng.integers(60, 190, size=3)))
        draw.rectangle((column, 8, column + 54, 28), fill=tuple(int(c) for c in rng.integers(50, 130, size=3)))
        draw.rectangle((column + 54, 0, column + 62, _HORIZON), fill=(70, 66, 66))
    _shade(draw, (_HORIZON, FRAME[0]), (104, 102, 104), (126, 122, 122))
    draw.rectangle((0, _HORIZON, FRAME[1], _HORIZON + 8), fill=(84, 80, 80))
