"""What a person wears, painted flat with Pillow: the textures that figure.py wraps round the body."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .people import Colour, Person

# Columns once round the body; the front is in the middle, the back at both ends.
ROUND = 96


@dataclass(frozen=True)
class Wardrobe:
    """The textures of one person, each uint8 (rows, ROUND, 4): see draw_tube."""

    trunk: np.ndarray
    skirt: np.ndarray
    arm: np.ndarray
    leg: np.ndarray
    skin: np.ndarray
    head: np.ndarray
    hair: np.ndarray
    shoe: np.ndarray
    bag: np.ndarray


def dress(person: Person) -> Wardrobe:
    """Paint everything that `person` wears."""
    rng = np.random.default_rng(person.grain)
    return Wardrobe(
        trunk=_cloth(_paint_trunk(person), rng),
        skirt=_cloth(_paint_skirt(person), rng),
        arm=_cloth(_paint_arm(person), rng),
        leg=_cloth(_paint_leg(person), rng),
        skin=plain(person.skin),
        head=np.asarray(_paint_head(person)),
        hair=np.asarray(_paint_hair(person)),
        shoe=plain(person.shoe_colour),
        bag=_cloth(_paint_bag(person), rng),
    )


def plain(colour: Colour, rows: int = 8) -> np.ndarray:
    """Return a texture of one colour."""
    return np.full((rows, ROUND, 4), (*colour, 255), dtype=np.uint8)


def darker(colour: Colour, factor: float = 0.6) -> Colour:
    """Return `colour` with its brightness times `factor`, 0..1."""
    red, green, blue = colour
    return int(red * factor), int(green * factor), int(blue * factor)


def _blank(rows: int, colour: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGBA", (ROUND, rows), (*colour, 255))
    return image, ImageDraw.Draw(image)


def _cloth(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Return the painted cloth as an array, with soft folds."""
    folds = Image.fromarray(rng.integers(0, 256, size=(5, 12), dtype=np.uint8)).resize(
        image.size, Image.Resampling.BICUBIC
    )
    texture = np.array(image)
    brightness = 0.86 + 0.24 / 255 * np.asarray(folds, dtype=np.float32)
    texture[..., :3] = (texture[..., :3] * brightness[..., None]).clip(0, 255)
    return texture


def _paint_trunk(person: Person) -> Image.Image:
    base, accent, _ = person.outfit
    image, draw = _blank(64, base)
    middle, side = ROUND // 2, ROUND // 4
    if person.pattern == "hoops":
        _paint_hoops(draw, accent, 64, 14)
    elif person.pattern == "bars":
        _paint_bars(draw, accent, 64)
    elif person.pattern == "yoke":
        draw.rectangle((0, 0, ROUND, 25), fill=accent)
    elif person.pattern == "band":
        draw.rectangle((0, 27, ROUND, 45), fill=accent)
    elif person.pattern == "logo":
        for centre in (0, middle, ROUND):  # on the breast and on the back
            draw.ellipse((centre - 12, 14, centre + 12, 42), fill=accent)
    if person.top == "coat":
        draw.line((middle, 0, middle, 64), fill=darker(base, 0.45), width=2)
        draw.rectangle((0, 40, ROUND, 42), fill=darker(base, 0.45))  # the belt
        draw.polygon([(middle - 9, 0), (middle + 9, 0), (middle, 16)], fill=accent)
    else:
        draw.ellipse((middle - 9, -8, middle + 9, 7), fill=person.skin)
    if person.bag == "backpack":
        for centre in (middle - 11, middle + 11):
            draw.rectangle((centre - 2, 0, centre + 2, 38), fill=person.bag_colour)
    elif person.bag == "shoulder bag":  # the strap runs from the right shoulder to the left hip
        draw.line((side + 6, 0, 3 * side, 60), fill=person.bag_colour, width=5)
        draw.line((side - 6, 0, -side, 60), fill=person.bag_colour, width=5)
        draw.line((ROUND + side - 6, 0, 3 * side, 60), fill=person.bag_colour, width=5)
    return image


def _paint_hoops(draw: ImageDraw.ImageDraw, colour: Colour, rows: int, pitch: int) -> None:
    for row in range(pitch // 2, rows, pitch):
        draw.rectangle((0, row, ROUND, row + pitch // 2 - 1), fill=colour)


def _paint_bars(draw: ImageDraw.ImageDraw, colour: Colour, rows: int) -> None:
    for column in range(4, ROUND, 16):
        draw.rectangle((column, 0, column + 6, rows), fill=colour)


def _paint_skirt(person: Person) -> Image.Image:
    base, accent, bottom = person.outfit
    image, draw = _blank(40, base if person.top == "dress" else bottom)
    if person.top == "dress":
        if person.pattern == "hoops":
            _paint_hoops(draw, accent, 40, 14)
        elif person.pattern == "bars":
            _paint_bars(draw, accent, 40)
        elif person.pattern in ("yoke", "band"):
            draw.rectangle((0, 31, ROUND, 40), fill=accent)
    else:
        for column in range(0, ROUND, 12):  # pleats
            draw.rectangle((column, 8, column + 2, 40), fill=darker(bottom, 0.8))
    return image


def _paint_arm(person: Person) -> Image.Image:
    """Paint shoulder to wrist."""
    base, accent, _ = person.outfit
    sleeve = accent if person.pattern == "raglan" else base
    image, draw = _blank(48, sleeve)
    if person.pattern == "hoops":
        _paint_hoops(draw, accent, 48, 14)
    elif person.pattern == "yoke":
        draw.rectangle((0, 0, ROUND, 12), fill=accent)
    if person.top == "t-shirt":
        draw.rectangle((0, 20, ROUND, 48), fill=person.skin)
    elif person.top == "dress":
        draw.rectangle((0, 8, ROUND, 48), fill=person.skin)
    return image


def _paint_leg(person: Person) -> Image.Image:
    """Paint hip to ankle."""
    bottom = person.outfit[2]
    image, draw = _blank(64, bottom)
    if person.bottom == "shorts":
        draw.rectangle((0, 29, ROUND, 64), fill=person.skin)
        draw.rectangle((0, 59, ROUND, 64), fill=(226, 226, 222))  # socks
    elif person.bottom == "skirt":
        draw.rectangle((0, 0, ROUND, 64), fill=person.skin)
    else:
        for column in (ROUND // 4, 3 * ROUND // 4):
            draw.line((column, 0, column, 64), fill=darker(bottom, 0.8), width=2)
    return image


def _paint_head(person: Person) -> Image.Image:
    image, draw = _blank(32, person.skin)
    middle = ROUND // 2
    shadow = darker(person.skin, 0.75)
    for eye in (middle - 7, middle + 7):
        draw.rectangle((eye - 4, 12, eye + 4, 13), fill=shadow)
        draw.rectangle((eye - 2, 14, eye + 2, 16), fill=(38, 30, 30))
    draw.rectangle((middle - 1, 15, middle + 1, 21), fill=shadow)
    draw.rectangle((middle - 5, 25, middle + 5, 26), fill=darker((186, 96, 92), 0.9))
    for ear in (ROUND // 4, 3 * ROUND // 4):
        draw.ellipse((ear - 3, 13, ear + 3, 21), fill=shadow)
    return image


def _paint_hair(person: Person) -> Image.Image:
    """Paint what lies over the head: opaque where there is hair or a cap."""
    image = Image.new("RGBA", (ROUND, 32), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    middle = ROUND // 2
    if person.haircut == "cap":
        draw.rectangle((0, 0, ROUND, 13), fill=(*person.outfit[1], 255))
        return image
    colour = (*person.hair_colour, 255)
    nape, temple = (32, 26) if person.haircut == "long" else (24, 16)
    draw.rectangle((0, 0, ROUND, 8), fill=colour)
    draw.rectangle((0, 0, middle - 30, nape), fill=colour)
    draw.rectangle((middle + 30, 0, ROUND, nape), fill=colour)
    draw.polygon([(middle - 31, 0), (middle - 31, temple), (middle - 20, temple - 4), (middle - 14, 6)], fill=colour)
    draw.polygon([(middle + 31, 0), (middle + 31, temple), (middle + 20, temple - 4), (middle + 14, 6)], fill=colour)
    shine = Image.new("RGBA", (ROUND, 3), tuple(min(255, int(c * 1.35 + 8)) for c in person.hair_colour) + (255,))
    image.paste(shine, (0, 3))
    return image


def _paint_bag(person: Person) -> Image.Image:
    image, draw = _blank(24, person.bag_colour)
    draw.rectangle((0, 9, ROUND, 10), fill=darker(person.bag_colour, 0.5))
    draw.rectangle((ROUND // 2 - 12, 13, ROUND // 2 + 12, 21), outline=darker(person.bag_colour, 0.5))
    draw.rectangle((0, 0, ROUND, 1), fill=tuple(min(255, c + 40) for c in person.bag_colour))
    return image
