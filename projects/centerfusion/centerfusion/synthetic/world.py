"""Draws what stands on a generated road: boxes of the ten classes in front of the camera, and how they move."""

import math
from dataclasses import dataclass

import numpy as np

# Mean width, length and height in metres.
SIZES = {
    "car": (1.95, 4.6, 1.73),
    "truck": (2.5, 6.9, 2.84),
    "bus": (2.9, 11.0, 3.4),
    "trailer": (2.9, 12.2, 3.87),
    "construction_vehicle": (2.7, 6.4, 3.2),
    "pedestrian": (0.67, 0.73, 1.77),
    "motorcycle": (0.77, 2.1, 1.47),
    "bicycle": (0.6, 1.7, 1.28),
    "traffic_cone": (0.41, 0.41, 1.07),
    "barrier": (2.5, 0.5, 0.98),
}
VEHICLES = ("car", "truck", "bus", "trailer", "construction_vehicle")
CYCLES = ("motorcycle", "bicycle")
# How often a class is drawn. Long ones hide others, and are often dropped again.
_FREQUENCY = dict.fromkeys(SIZES, 1.0) | {"car": 1.5, "truck": 1.5, "bus": 2.0, "trailer": 3.0}
# Nearest and farthest near side of a box, in metres; small classes would be a few pixels beyond the second.
_NEAR, _FAR, _FAR_SMALL = 5.0, 22.0, 14.0
_SMALL = ("pedestrian", "motorcycle", "bicycle", "traffic_cone", "barrier")
# The camera sees 32 degrees to each side.
_MAX_BEARING = math.radians(28)
_MOVING_SHARE = 0.5


@dataclass(frozen=True)
class Thing:
    """A box on the road, in the vehicle's frame at the first moment: x forward, y left, metres.

    Attributes:
        name: of the class.
        x: of the centre.
        y: of the centre.
        yaw: heading, 0 is forward.
        size: width, length, height.
        speed: along the heading, m/s; 0 is parked or standing, and cannot be seen in the picture.
        has_rider: of cycles.
        tint: of its colour, 0..1.
    """

    name: str
    x: float
    y: float
    yaw: float
    size: tuple[float, float, float]
    speed: float
    has_rider: bool
    tint: float

    @property
    def attribute(self) -> str:
        """Name of its attribute in nuScenes, "" without one."""
        if self.name in VEHICLES:
            return "vehicle.moving" if self.speed else "vehicle.parked"
        if self.name == "pedestrian":
            return "pedestrian.moving" if self.speed else "pedestrian.standing"
        if self.name in CYCLES:
            return "cycle.with_rider" if self.has_rider else "cycle.without_rider"
        return ""

    def at(self, seconds: float) -> tuple[float, float]:
        """Return x and y of the centre after some time, relative to where the vehicle was at the first moment."""
        return self.x + self.speed * math.cos(self.yaw) * seconds, self.y + self.speed * math.sin(self.yaw) * seconds


def draw_things(rng: np.random.Generator) -> list[Thing]:
    """Return 3 to 7 boxes that hide little of each other, the same for the same state of `rng`."""
    names = list(SIZES)
    shares = np.array([_FREQUENCY[name] for name in names])
    things: list[Thing] = []
    wanted = int(rng.integers(3, 8))
    for _ in range(8 * wanted):
        if len(things) == wanted:
            break
        thing = _draw(str(rng.choice(names, p=shares / shares.sum())), rng)
        if all(not _hide_each_other(thing, other) for other in things):
            things.append(thing)
    return things


def _draw(name: str, rng: np.random.Generator) -> Thing:
    width, length, height = (side * rng.uniform(0.9, 1.1) for side in SIZES[name])
    quarter = rng.choice(4, p=(0.35, 0.35, 0.15, 0.15))
    yaw = (0, math.pi, math.pi / 2, -math.pi / 2)[quarter] + rng.normal(0, 0.15)
    far = _FAR_SMALL if name in _SMALL else _FAR
    distance = rng.uniform(_NEAR, far) + max(width, length) / 2
    bearing = rng.uniform(-_MAX_BEARING, _MAX_BEARING)
    moves = rng.random() < _MOVING_SHARE
    has_rider = name in CYCLES and rng.random() < 0.5
    speed = 0.0
    if name in VEHICLES and moves:
        speed = rng.uniform(2, 8)
    elif name == "pedestrian" and moves:
        speed = rng.uniform(0.9, 1.8)
    elif has_rider and moves:
        speed = rng.uniform(2, 5)
    return Thing(
        name=name,
        x=distance * math.cos(bearing),
        y=distance * math.sin(bearing),
        yaw=math.remainder(yaw, 2 * math.pi),
        size=(width, length, height),
        speed=speed,
        has_rider=has_rider,
        tint=float(rng.random()),
    )


def _hide_each_other(first: Thing, second: Thing) -> bool:
    """Return True if the boxes touch, or are seen in much of the same directions."""
    radii = [math.hypot(*thing.size[:2]) / 2 for thing in (first, second)]
    if math.hypot(first.x - second.x, first.y - second.y) < sum(radii):
        return True
    angles = [math.asin(min(0.99, r / math.hypot(t.x, t.y))) for r, t in zip(radii, (first, second))]
    gap = abs(math.atan2(first.y, first.x) - math.atan2(second.y, second.x))
    overlap = sum(angles) - gap
    return overlap > 0.5 * min(angles)
