"""Paints a road with boxes, far to near, as polygons."""

import colorsys
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..data.geometry import project
from .world import VEHICLES, Thing

Colour = tuple[float, float, float]
# Painted larger and reduced, which smooths the edges.
_SUPERSAMPLING = 2
CAMERA_HEIGHT = 1.5
_LIGHT = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])

# Hue and saturation of a class's body.
_HUES = {
    "car": (0.60, 0.55),
    "truck": (0.08, 0.35),
    "bus": (0.15, 0.85),
    "trailer": (0.0, 0.05),
    "construction_vehicle": (0.11, 1.0),
    "pedestrian": (0.83, 0.65),
    "motorcycle": (0.0, 0.9),
    "bicycle": (0.45, 0.8),
    "traffic_cone": (0.05, 1.0),
    "barrier": (0.0, 0.0),
}
# Faces in the box's own axes (x forward, y left, z up): normal, and the two axes of a point (u, v) on it.
_FACES = {
    "front": ((1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "back": ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "left": ((0, 1, 0), (1, 0, 0), (0, 0, 1)),
    "right": ((0, -1, 0), (-1, 0, 0), (0, 0, 1)),
    "top": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
}
_WHITE, _RED, _DARK, _SKIN, _ORANGE = (1, 1, 0.85), (0.85, 0, 0.05), (0.08, 0.1, 0.14), (0.9, 0.7, 0.55), (1, 0.45, 0)
Patch = tuple[float, float, float, float, Colour]


def paint(
    things: Sequence[Thing],
    positions: Sequence[tuple[float, float]],
    calib: np.ndarray,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Image.Image, list[float]]:
    """Return the picture, and the share of each thing that can be seen.

    Args:
        things: what to paint.
        positions: (x, y) of their centres in front of the camera: x forward, y left.
        calib: (3, 4) projection.
        size: (width, height) in pixels.
        rng: draws the colours of sky and road.
    """
    factor = _SUPERSAMPLING
    large = calib.copy()
    large[:2] *= factor
    picture = _background(large, (size[0] * factor, size[1] * factor), rng)
    owners = Image.new("L", size, 0)
    alone = []
    draw, draw_owner = ImageDraw.Draw(picture), ImageDraw.Draw(owners)
    order = sorted(range(len(things)), key=lambda i: -math.hypot(*positions[i]))
    for i in order:
        painter = _Painter(things[i], positions[i], draw, large)
        painter.paint()
        mask = Image.new("L", size, 0)
        for polygon in painter.outline(factor):
            draw_owner.polygon(polygon, fill=i + 1)
            ImageDraw.Draw(mask).polygon(polygon, fill=1)
        alone.append(int(np.asarray(mask).sum()))
    seen = np.bincount(np.asarray(owners).ravel(), minlength=len(things) + 1)[1:]
    shares = [0.0] * len(things)
    for i, whole in zip(order, alone):
        shares[i] = float(seen[i] / whole) if whole else 0.0
    noise = rng.normal(0, 2.5, (size[1], size[0], 1))
    reduced = np.asarray(picture.resize(size, Image.Resampling.BOX), dtype=np.float64)
    return Image.fromarray((reduced + noise).clip(0, 255).astype(np.uint8)), shares


def _background(calib: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    width, height = size
    horizon = calib[1, 2]
    rows = np.arange(height)[:, None]
    sky = np.array([150, 180, 215]) * rng.uniform(0.8, 1.1)
    fog = np.array([200, 205, 210]) * rng.uniform(0.85, 1.05)
    road = np.array([95, 95, 98]) * rng.uniform(0.8, 1.15)
    up = np.clip((horizon - rows) / (0.5 * horizon), 0, 1)
    down = np.clip((rows - horizon) / (0.25 * (height - horizon)), 0, 1)
    column = np.where(rows < horizon, fog + (sky - fog) * up, fog + (road - fog) * down)
    picture = Image.fromarray(np.repeat(column[:, None], width, axis=1).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for lateral in (-5.4, -1.8, 1.8, 5.4):  # lane marks
        for start in np.arange(3, 40, 6) + rng.uniform(0, 3):
            corners = [(lateral + dy, CAMERA_HEIGHT, x) for x, dy in _mark(float(start))]
            draw.polygon(_pixels(np.array(corners), calib), fill=(205, 205, 200))
    return picture


def _mark(start: float) -> list[tuple[float, float]]:
    return [(start, -0.08), (start, 0.08), (start + 2, 0.08), (start + 2, -0.08)]


def _pixels(points: np.ndarray, calib: np.ndarray) -> list[tuple[float, float]]:
    points = points.copy()
    points[:, 2] = points[:, 2].clip(0.3)  # what passes the camera is painted at its side
    return [(float(u), float(v)) for u, v in project(points, calib)]


class _Painter:
    """Paints one thing."""

    def __init__(
        self, thing: Thing, position: tuple[float, float], draw: ImageDraw.ImageDraw, calib: np.ndarray
    ) -> None:
        self.thing, self.draw, self.calib = thing, draw, calib
        cos, sin = math.cos(thing.yaw), math.sin(thing.yaw)
        self.turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        self.origin = np.array([*position, -CAMERA_HEIGHT])  # below the camera, in its place

    def paint(self) -> None:
        """Paint the thing's parts."""
        thing = self.thing
        hue, saturation = _HUES[thing.name]
        body = colorsys.hsv_to_rgb((hue + 0.04 * (thing.tint - 0.5)) % 1, saturation, 0.6 + 0.3 * thing.tint)
        width, length, height = thing.size
        if thing.name in VEHICLES:
            self._box((width, length, height), 0, body, _vehicle_patches(thing.name))
        elif thing.name == "pedestrian":
            self._box((width, length * 0.6, height * 0.82), 0, body, {"back": [(0.2, 0.8, 0.45, 0.95, _DARK)]})
            face: dict[str, list[Patch]] = {"front": [(0, 1, 0, 1, _SKIN)], "top": [(0, 1, 0, 1, _DARK)]}
            self._box((width * 0.5, length * 0.4, height * 0.18), height * 0.82, _DARK, face)
        elif thing.name in ("motorcycle", "bicycle"):
            lamps: dict[str, list[Patch]] = {
                "front": [(0.1, 0.9, 0.5, 1, _WHITE)],
                "back": [(0.1, 0.9, 0.5, 1, _RED)],
                "left": [(0.55, 1, 0, 0.6, _DARK), (0, 0.4, 0, 0.6, _DARK)],
                "right": [(0, 0.45, 0, 0.6, _DARK), (0.6, 1, 0, 0.6, _DARK)],
            }
            self._box((width * 0.5, length, height * 0.6), 0, body, lamps)
            if thing.has_rider:
                self._box((width * 0.8, length * 0.25, height * 0.4), height * 0.6, (0.25, 0.3, 0.7), {})
        elif thing.name == "traffic_cone":
            stripes: dict[str, list[Patch]] = {
                side: [(0, 1, 0.35, 0.6, (1, 1, 1))] for side in ("front", "back", "left", "right")
            }
            self._box((width, length, height * 0.12), 0, _DARK, {})
            self._box((width * 0.6, length * 0.6, height * 0.88), height * 0.12, body, stripes)
        else:
            stripes = {
                side: [(i / 6, (i + 1) / 6, 0.3, 0.9, _RED if i % 2 else (1, 1, 1)) for i in range(6)]
                for side in ("front", "back")
            }
            self._box((width, length, height), 0, body, stripes)

    def outline(self, factor: int) -> list[list[tuple[float, float]]]:
        """Return the polygons of the whole box's faces, in the pixels of the reduced picture."""
        width, length, height = self.thing.size
        faces = self._visible((width, length, height), 0)
        return [[(u / factor, v / factor) for u, v in self._corners(*face, (0, 1, 0, 1))] for _, face in faces]

    def _visible(
        self, size: tuple[float, float, float], lift: float
    ) -> list[tuple[str, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """Return the faces that the camera sees: (name, (corner, side u, side v)) relative to the camera."""
        width, length, height = size
        half = np.array([length, width, height]) / 2
        center = self.origin + np.array([0, 0, lift + height / 2])
        found = []
        for name, (normal, u, v) in _FACES.items():
            middle = center + self.turn @ (np.array(normal) * half)
            if (self.turn @ np.array(normal)) @ middle < 0:
                side_u, side_v = (2 * self.turn @ (np.array(axis) * half) for axis in (u, v))
                found.append((name, (middle - side_u / 2 - side_v / 2, side_u, side_v)))
        return found

    def _corners(
        self, corner: np.ndarray, side_u: np.ndarray, side_v: np.ndarray, patch: tuple[float, float, float, float]
    ) -> list[tuple[float, float]]:
        u0, u1, v0, v1 = patch
        points = np.array([corner + u * side_u + v * side_v for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))])
        # From x forward, y left, z up to x right, y down, z forward.
        return _pixels(np.stack((-points[:, 1], -points[:, 2], points[:, 0]), axis=1), self.calib)

    def _box(
        self, size: tuple[float, float, float], lift: float, colour: Colour, patches: dict[str, list[Patch]]
    ) -> None:
        for name, face in self._visible(size, lift):
            shade = 0.55 + 0.45 * max(0.0, float((self.turn @ np.array(_FACES[name][0])) @ _LIGHT))
            self._fill(face, (0, 1, 0, 1), colour, shade)
            for *patch, patch_colour in patches.get(name, []):
                lit = 1.0 if patch_colour in (_WHITE, _RED) else shade
                self._fill(face, (patch[0], patch[1], patch[2], patch[3]), patch_colour, lit)

    def _fill(
        self,
        face: tuple[np.ndarray, np.ndarray, np.ndarray],
        patch: tuple[float, float, float, float],
        colour: Colour,
        shade: float,
    ) -> None:
        red, green, blue = (int(255 * min(1.0, part * shade)) for part in colour)
        self.draw.polygon(self._corners(*face, patch), fill=(red, green, blue))


def _vehicle_patches(name: str) -> dict[str, list[Patch]]:
    """Return window bands, white lamps in front, red ones behind, and dark rears of the sides: cues of the heading."""
    low, high = (0.45, 0.9) if name == "bus" else (0.55, 0.92)
    front: list[Patch] = [(0.05, 0.35, 0.12, 0.4, _WHITE), (0.65, 0.95, 0.12, 0.4, _WHITE)]
    back: list[Patch] = [(0.0, 0.3, 0.12, 0.45, _RED), (0.7, 1.0, 0.12, 0.45, _RED)]
    # u runs towards the front on the left side, and away from it on the right side.
    left: list[Patch] = [(0.6, 1.0, 0.0, 0.12, _WHITE), (0.0, 0.4, 0.0, 0.12, _RED)]
    right: list[Patch] = [(0.0, 0.4, 0.0, 0.12, _WHITE), (0.6, 1.0, 0.0, 0.12, _RED)]
    if name == "trailer":  # no cab, and so no windows
        front = [(0.1, 0.9, 0.1, 0.5, _WHITE)]
    else:
        front.append((0.08, 0.92, low, high, _DARK))
        share = 0.9 if name in ("bus", "car") else 0.3
        left.append((1 - share, 0.95, low, high, _DARK))
        right.append((0.05, share, low, high, _DARK))
    if name == "construction_vehicle":
        stripes: list[Patch] = [(i / 5, i / 5 + 0.1, 0.12, 0.3, _DARK) for i in range(5)]
        left += stripes
        right += stripes
    return {"front": front, "back": back, "left": left, "right": right, "top": []}
