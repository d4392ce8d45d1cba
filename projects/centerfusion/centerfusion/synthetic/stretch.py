"""A piece of generated road at one moment, and what the radar measures there."""

import math
from dataclasses import dataclass

import numpy as np

from ..data.radar import RECORD
from .world import VEHICLES, Thing

RADAR_POSITION = [3.4, 0.0, 0.5]  # on the vehicle, metres
# How likely a class is seen by the radar.
_SEEN = dict.fromkeys(VEHICLES, 0.93) | {"pedestrian": 0.7, "motorcycle": 0.8, "bicycle": 0.75, "barrier": 0.7}
_SEEN_ELSE = 0.5
_POSITION_NOISE, _SPEED_NOISE = 0.15, 0.1


@dataclass(frozen=True)
class Stretch:
    """A piece of road at one sample.

    Attributes:
        things: on it.
        start: (2,) of the vehicle in the world at the first moment.
        yaw: direction of the road in the world.
        ego_speed: of the vehicle, m/s.
        seconds: since the first moment.
        time: of the sample, microseconds.
    """

    things: list[Thing]
    start: np.ndarray
    yaw: float
    ego_speed: float
    seconds: float
    time: int

    def travelled(self, ago: float) -> float:
        """Return how far the vehicle has come `ago` seconds before the sample."""
        return self.ego_speed * (self.seconds - ago)

    def to_world(self, x: float, y: float) -> tuple[float, float]:
        """Return a point of the vehicle's frame at the first moment in the world."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return float(self.start[0] + cos * x - sin * y), float(self.start[1] + sin * x + cos * y)

    def from_vehicle(self, thing: Thing, ago: float) -> np.ndarray:
        """Return (2,) the centre of a thing in the vehicle's frame `ago` seconds before the sample."""
        x, y = thing.at(self.seconds - ago)
        return np.array([x - self.travelled(ago), y])


def radar_points(scene: Stretch, ago: float, rng: np.random.Generator) -> np.ndarray:
    """Return what the radar measures `ago` seconds before a sample, as records of nuScenes' files.

    Of a target it sees 1 to 3 points on the near side and only the speed along the line of sight.
    """
    rows: list[tuple[float, float, float, bool]] = []
    radar = np.array(RADAR_POSITION[:2])
    for thing in scene.things:
        if rng.random() > _SEEN.get(thing.name, _SEEN_ELSE):
            continue
        center = scene.from_vehicle(thing, ago) - radar
        distance = np.linalg.norm(center)
        velocity = thing.speed * np.array([math.cos(thing.yaw), math.sin(thing.yaw)])
        for _ in range(int(rng.integers(1, 4))):
            near = center * (1 - 0.4 * thing.size[0] / distance) + rng.normal(0, _POSITION_NOISE, 2)
            sight = near / np.linalg.norm(near)
            rows.append(
                (float(near[0]), float(near[1]), float(velocity @ sight + rng.normal(0, _SPEED_NOISE)), thing.speed > 0)
            )
    for _ in range(int(rng.integers(5, 16))):  # static clutter
        away, bearing = rng.uniform(4, 50), rng.uniform(-0.7, 0.7)
        rows.append((away * math.cos(bearing), away * math.sin(bearing), float(rng.normal(0, _SPEED_NOISE)), False))
    points = np.zeros(len(rows), RECORD)
    for i, (x, y, speed, moves) in enumerate(rows):
        sight = np.array([x, y]) / math.hypot(x, y)
        points[i]["x"], points[i]["y"], points[i]["id"] = x, y, i
        points[i]["vx_comp"], points[i]["vy_comp"] = speed * sight
        points[i]["vx"], points[i]["vy"] = (speed - scene.ego_speed * sight[0]) * sight
        points[i]["dyn_prop"] = 0 if moves else 1
    points["ambig_state"], points["is_quality_valid"], points["pdh0"], points["rcs"] = 3, 1, 1, 5
    return points
