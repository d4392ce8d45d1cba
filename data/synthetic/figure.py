"""Draws a walking person: a skeleton in three dimensions, a gait, and textured tubes round its bones."""

from dataclasses import dataclass, field

import numpy as np

from .clothes import Wardrobe, darker, plain
from .people import Person
from .tube import Light, draw_tube

# Where the joints of an average person of stature 1 stand above the ground.
_NECK, _SHOULDER, _CHIN, _CROWN = 0.845, 0.805, 0.862, 0.995
# Half widths: the profile of the trunk from the shoulders to its hem, to the side and to the front.
_TRUNK_SIDE = np.array([0.075, 0.118, 0.122, 0.116, 0.108, 0.102, 0.102, 0.108, 0.112])
_TRUNK_FRONT = np.array([0.055, 0.066, 0.074, 0.076, 0.073, 0.070, 0.070, 0.073, 0.074])
_HEAD = 0.052 * np.array([0.72, 0.92, 1.0, 1.0, 0.98, 0.92, 0.80, 0.62])


@dataclass(frozen=True)
class Pose:
    """How a person stands in one picture.

    Attributes:
        heading: Where the front points, in radians: 0 to the camera, pi / 2 to the right.
        phase: Where in the gait, in radians.
        stride: Swing of the thighs in radians; 0 stands still.
        swing: Swing of the arms in radians.
        elbow: Bend of the elbows in radians.
        tilt: How far the camera looks down, in radians.
    """

    heading: float
    phase: float
    stride: float
    swing: float
    elbow: float
    tilt: float


@dataclass
class _Tube:
    start: np.ndarray  # (x to the left of the body, y up, z forward), stature 1
    end: np.ndarray
    side: np.ndarray  # half widths to the side
    texture: np.ndarray
    front: np.ndarray | None = None  # half widths to the front; None where they are the same
    nearer: float = 0.0  # added to the depth, to lie over what is as near
    flat: float = 1.0
    turn: float = 0.0  # added to the heading

    depth: float = field(init=False, default=0.0)


def draw_person(
    canvas: np.ndarray,
    person: Person,
    wardrobe: Wardrobe,
    pose: Pose,
    light: Light,
    *,
    foot: tuple[float, float],
    height: float,
) -> None:
    """Draw `person` on `canvas`, in place, with a shadow on the ground.

    Args:
        canvas: float32 (H, W, 3), 0..255.
        person: Who.
        wardrobe: What `dress` painted for this person.
        pose: How.
        light: What lights the scene.
        foot: (x, y) of the ground below the body, in pixels.
        height: Pixels of a person of stature 1.
    """
    scale = height * person.stature
    cos, sin = np.cos(pose.heading), np.sin(pose.heading)
    down, level = np.sin(pose.tilt), np.cos(pose.tilt)
    across = np.array([cos, 0.0, sin])
    towards = np.array([-sin, 0.0, cos])
    below = -level * np.array([0.0, 1.0, 0.0]) + down * towards
    screen = np.stack([across, below]) * scale
    tubes = _body(person, wardrobe, pose)
    _draw_shadow(canvas, foot, scale, light)
    for tube in tubes:
        tube.depth = float((tube.start + tube.end) @ towards) / 2 + tube.nearer
    for tube in sorted(tubes, key=lambda tube: tube.depth):
        front = tube.side if tube.front is None else tube.front
        radii = np.hypot(tube.side * cos, front * sin) * scale
        draw_tube(
            canvas,
            screen @ tube.start + foot,
            screen @ tube.end + foot,
            radii,
            tube.texture,
            light,
            turn=pose.heading + tube.turn,
            flat=tube.flat,
        )


def _draw_shadow(canvas: np.ndarray, foot: tuple[float, float], scale: float, light: Light) -> None:
    rows, columns = canvas.shape[:2]
    top, bottom = (int(np.clip(foot[1] + d * scale, 0, rows)) for d in (-0.05, 0.05))
    if top >= bottom:
        return
    x = (np.arange(columns, dtype=np.float32) - np.float32(foot[0] - 0.08 * light.angle * scale)) / np.float32(
        0.22 * scale
    )
    y = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(foot[1])) / np.float32(0.045 * scale)
    canvas[top:bottom] *= 1 - np.float32(0.55) * (1 - x * x - y * y).clip(0, 1)[..., None]


def _body(person: Person, wardrobe: Wardrobe, pose: Pose) -> list[_Tube]:
    hip = person.legs
    tubes = []
    lowest = 0.0
    for side in (-1.0, 1.0):
        leg, sole = _leg(person, wardrobe, pose, side)
        tubes += leg
        lowest = min(lowest, sole)
    tubes += _trunk(person, wardrobe, hip) + _head(person, wardrobe) + _bag(person, wardrobe, hip)
    for side in (-1.0, 1.0):
        tubes += _arm(person, wardrobe, pose, side)
    for tube in tubes:  # the lower foot stands on the ground
        tube.start = tube.start - (0.0, lowest, 0.0)
        tube.end = tube.end - (0.0, lowest, 0.0)
    return tubes


def _leg(person: Person, wardrobe: Wardrobe, pose: Pose, side: float) -> tuple[list[_Tube], float]:
    """Return thigh, shin and foot, and how high the sole is."""
    phase = pose.phase if side > 0 else pose.phase + np.pi
    hip = np.array([side * 0.052 * person.girth, person.legs, 0.0])
    thigh = pose.stride * np.sin(phase)
    shin = thigh - pose.stride * 1.5 * max(0.0, np.cos(phase)) - 0.04
    knee = hip + (person.legs - 0.045) * 0.52 * np.array([0.0, -np.cos(thigh), np.sin(thigh)])
    ankle = knee + (person.legs - 0.045) * 0.48 * np.array([0.0, -np.cos(shin), np.sin(shin)])
    pitch = min(0.0, shin + 0.25)
    toe = ankle + np.array([side * 0.015, -0.022 + 0.085 * np.sin(pitch), 0.085 * np.cos(pitch)])
    heel = ankle + np.array([0.0, -0.022, -0.018])
    girth = person.girth
    loose = 1.0 if person.bottom == "skirt" else 1.12
    upper = np.array([0.068, 0.066, 0.060, 0.053, 0.047]) * girth * loose
    lower = np.array([0.046, 0.045, 0.041, 0.036, 0.033]) * girth * (1.15 if person.bottom == "trousers" else 0.88)
    if person.bottom == "shorts":
        upper = np.array([0.072, 0.074, 0.074, 0.074, 0.046]) * girth
    rows = len(wardrobe.leg) // 2
    tubes = [
        _Tube(heel, toe, np.array([0.024, 0.027, 0.022]), wardrobe.shoe, nearer=-0.6),
        _Tube(knee, ankle, lower, wardrobe.leg[rows:], nearer=-0.5),
        _Tube(hip, knee, upper, wardrobe.leg[:rows], nearer=-0.49),
    ]
    return tubes, float(min(toe[1], heel[1])) - 0.022


def _trunk(person: Person, wardrobe: Wardrobe, hip: float) -> list[_Tube]:
    hem = hip - {"coat": 0.14, "dress": 0.0}.get(person.top, 0.03)
    side, front = _TRUNK_SIDE.copy(), _TRUNK_FRONT.copy()
    side[:4] *= person.shoulders
    belly = np.linspace(1.0, person.girth, len(side))
    side, front = side * belly * 0.98, front * belly * np.linspace(1.0, person.girth, len(side))
    if person.top == "coat":
        side, front = side * np.linspace(1.05, 1.2, len(side)), front * np.linspace(1.1, 1.35, len(front))
    elif person.top == "dress":
        waist = np.array([1, 1, 1, 0.97, 0.92, 0.86, 0.86, 0.92, 1.0])
        side, front = side * waist, front * waist
    neck = np.array([0.0, _CHIN + 0.02, 0.012])
    base = np.array([0.0, _NECK - 0.035, 0.0])
    tubes = [
        _Tube(base, neck, np.array([0.036, 0.03]) * person.girth**0.5, wardrobe.skin, nearer=-0.02),
        _Tube(
            np.array([0.0, _NECK - 0.012, 0.0]), np.array([0.0, hem, 0.0]), side, wardrobe.trunk, front=front, flat=4.0
        ),
    ]
    if person.bottom == "skirt":
        length = hip - (0.24 if person.top == "dress" else 0.19)
        flare = np.array([0.1, 0.112, 0.124, 0.134, 0.142, 0.148]) * person.girth
        depth = flare * np.array([0.72, 0.76, 0.8, 0.84, 0.86, 0.88])
        skirt = _Tube(
            np.array([0.0, hip + 0.06, 0.0]), np.array([0.0, length, 0.0]), flare, wardrobe.skirt, depth, -0.3, 6.0
        )
        tubes.append(skirt)
    return tubes


def _arm(person: Person, wardrobe: Wardrobe, pose: Pose, side: float) -> list[_Tube]:
    girth = person.girth**0.7
    angle = -side * pose.swing * np.sin(pose.phase)
    splay = 0.1 + 0.12 * (person.girth - 0.84)
    shoulder = np.array([side * 0.112 * person.shoulders * person.girth**0.3, _SHOULDER, 0.0])
    upper = np.array([side * np.sin(splay), -np.cos(angle), np.sin(angle)])
    elbow = shoulder + 0.165 * upper
    bent = angle + pose.elbow
    wrist = elbow + 0.15 * np.array([side * 0.02, -np.cos(bent), np.sin(bent)])
    hand = wrist + 0.04 * np.array([-side * 0.1, -np.cos(bent), np.sin(bent)])
    thick = {"coat": 1.3, "sweater": 1.12}.get(person.top, 1.0) * girth
    rows = len(wardrobe.arm) // 2
    over = 0.03
    sleeve = np.array([0.042, 0.044, 0.039, 0.033 if person.top != "t-shirt" else 0.036]) * thick
    return [
        _Tube(wrist, hand, np.array([0.02, 0.023, 0.019]), wardrobe.skin, nearer=over - 0.004),
        _Tube(elbow, wrist, np.array([0.033, 0.031, 0.027, 0.024]) * thick, wardrobe.arm[rows:], nearer=over - 0.002),
        _Tube(shoulder, elbow, sleeve, wardrobe.arm[:rows], nearer=over),
    ]


def _head(person: Person, wardrobe: Wardrobe) -> list[_Tube]:
    top, chin = np.array([0.0, _CROWN - 0.045, 0.016]), np.array([0.0, _CHIN + 0.03, 0.022])
    tubes = [_Tube(top, chin, _HEAD, wardrobe.head, front=_HEAD * 1.12, nearer=0.2)]
    if person.haircut == "bald":
        return tubes
    lift = np.array([0.0, 0.008, -0.004])
    tubes.append(_Tube(top + lift, chin, _HEAD * 1.1, wardrobe.hair, front=_HEAD * 1.22, nearer=0.21))
    hair = plain(darker(person.hair_colour, 0.9))
    if person.haircut == "long":
        tress = np.array([0.052, 0.062, 0.066, 0.066, 0.05])
        crown, shoulder = np.array([0.0, _CROWN - 0.07, -0.025]), np.array([0.0, _SHOULDER - 0.05, -0.062])
        tubes.append(_Tube(crown, shoulder, tress, hair, front=tress * 0.62, nearer=0.015, flat=2.0))
    elif person.haircut == "bun":
        bun = np.array([0.0, _CROWN + 0.005, -0.045])
        tubes.append(_Tube(bun, bun + (0.0, -0.012, 0.0), np.array([0.031, 0.031]), hair, nearer=0.2))
    elif person.haircut == "cap":
        brim = np.array([0.0, _CROWN - 0.058, 0.05])
        cloth = plain(darker(person.outfit[1], 0.75))
        tubes.append(_Tube(brim, brim + (0.0, -0.01, 0.06), np.array([0.04, 0.03]), cloth, nearer=0.22, flat=3.0))
    return tubes


def _bag(person: Person, wardrobe: Wardrobe, hip: float) -> list[_Tube]:
    if person.bag == "backpack":
        top, bottom = np.array([0.0, _SHOULDER, -0.115]), np.array([0.0, hip + 0.07, -0.125])
        side, front = np.array([0.08, 0.098, 0.1, 0.1, 0.094]), np.array([0.045, 0.058, 0.066, 0.07, 0.064])
        return [_Tube(top, bottom, side, wardrobe.bag, front=front, nearer=0.01, flat=3.0, turn=np.pi)]
    if person.bag == "shoulder bag":
        at = np.array([0.135 * person.girth**0.6, hip + 0.02, -0.02])
        side, front = np.array([0.034, 0.036, 0.036]), np.array([0.072, 0.078, 0.078])
        return [
            _Tube(at, at - (0.0, 0.09, 0.0), side, wardrobe.bag, front=front, nearer=0.05, flat=4.0, turn=np.pi / 2)
        ]
    return []
