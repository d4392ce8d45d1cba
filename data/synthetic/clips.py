"""Clips of people who move: the class is in the movement, and every single frame could be of any class."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from .camera import FRAME, Camera
from .figure import Pose, draw_person
from .scene import Walker

ACTIONS = ("walking", "running", "walking backwards", "waving", "turning", "jumping")
"""What `render_clip` can show; "walking" and "walking backwards" differ in the order of their frames alone."""

# Height and width of a frame.
CLIP_SIZE = (64, 80)
# Background pixels for each pixel of a clip.
_SHRINK = 2
_HEIGHT = 50.0  # pixels of a person of average stature
_SEEN = 0.6  # of a movement over the ground


def render_clip(
    action: str, walker: Walker, camera: Camera, rng: np.random.Generator, *, frames: int = 16
) -> np.ndarray:
    """Return a clip, uint8 (frames, *CLIP_SIZE, 3).

    The pose in the middle of the clip, the place, the point of view and the light are drawn alike for all actions, so
    that a single frame does not tell which it is.

    Args:
        action: one of ACTIONS.
        walker: who moves.
        camera: where; its background, light and colours.
        rng: everything random.
        frames: of the clip.

    Raises:
        ValueError: an unknown action.
    """
    if action not in ACTIONS:
        raise ValueError(f"an action is one of {', '.join(ACTIONS)}; got {action!r}")
    background = _background(camera, rng)
    rows, columns = CLIP_SIZE
    move = _MOVES[action](rng)
    start = _Start(rng)
    foot_x, foot_y = columns * rng.uniform(0.3, 0.7), rows * rng.uniform(0.86, 0.98)
    height = _HEIGHT * rng.uniform(0.92, 1.08)
    clip = np.empty((frames, rows, columns, 3), dtype=np.uint8)
    for number in range(frames):
        time = number - (frames - 1) / 2
        pose, along, up = move(start, camera, time)
        canvas = background.copy()
        # The camera follows in part, so that nobody leaves the picture.
        shift = _SEEN * along * np.sin(pose.heading) * height
        size = height * (1 + 0.25 * _SEEN * along * np.cos(pose.heading))  # what comes nearer grows
        foot = (foot_x + shift, foot_y - up * height)
        draw_person(canvas, walker.person, walker.wardrobe, pose, camera.light, foot=foot, height=size)
        clip[number] = _develop(canvas, camera, rng)
    return clip


class _Start:
    """The pose in the middle of a clip; every action draws it alike."""

    def __init__(self, rng: np.random.Generator) -> None:
        # Seen from the side, more or less, to the left or to the right.
        side = 1.0 if rng.random() < 0.5 else -1.0
        self.heading = side * np.pi / 2 + rng.uniform(-0.9, 0.9)
        self.phase = rng.uniform(0, 2 * np.pi)
        self.stride = rng.uniform(0.3, 0.55)
        self.swing = rng.uniform(0.2, 0.6)
        self.elbow = rng.uniform(0.1, 1.9)

    def pose(self, camera: Camera, *, heading: float = 0.0, phase: float = 0.0, elbow: float | None = None) -> Pose:
        """Return the pose changed by so much."""
        return Pose(
            heading=self.heading + heading,
            phase=self.phase + phase,
            stride=self.stride,
            swing=self.swing,
            elbow=self.elbow if elbow is None else elbow,
            tilt=camera.tilt,
        )


Move = Callable[[_Start, Camera, float], tuple[Pose, float, float]]


def _gait(speed: float) -> Move:
    """Return steps of `speed` radians of the gait in a frame; the ground passes as the feet do."""

    def move(start: _Start, camera: Camera, time: float) -> tuple[Pose, float, float]:
        # Half a gait, pi, moves by the distance between the feet: 2 * sin(stride) of the legs' length.
        along = speed * time / np.pi * np.sin(start.stride)
        return start.pose(camera, phase=speed * time), along, 0.0

    return move


def _waving(rng: np.random.Generator) -> Move:
    speed, phase = rng.uniform(0.7, 1.0), rng.uniform(0, 2 * np.pi)

    def move(start: _Start, camera: Camera, time: float) -> tuple[Pose, float, float]:
        return start.pose(camera, elbow=1.0 + 0.9 * np.sin(speed * time + phase)), 0.0, 0.0

    return move


def _turning(rng: np.random.Generator) -> Move:
    speed = (1 if rng.random() < 0.5 else -1) * rng.uniform(0.14, 0.22)

    def move(start: _Start, camera: Camera, time: float) -> tuple[Pose, float, float]:
        return start.pose(camera, heading=speed * time), 0.0, 0.0

    return move


def _jumping(rng: np.random.Generator) -> Move:
    speed, phase = rng.uniform(0.5, 0.75), rng.uniform(0, np.pi)

    def move(start: _Start, camera: Camera, time: float) -> tuple[Pose, float, float]:
        return start.pose(camera), 0.0, 0.14 * abs(np.sin(speed * time + phase))

    return move


_MOVES: dict[str, Callable[[np.random.Generator], Move]] = {
    "walking": lambda rng: _gait(rng.uniform(0.28, 0.38)),
    "running": lambda rng: _gait(rng.uniform(0.75, 0.95)),
    "walking backwards": lambda rng: _gait(-rng.uniform(0.28, 0.38)),
    "waving": _waving,
    "turning": _turning,
    "jumping": _jumping,
}


def _background(camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Return a part of the camera's background, float32 (*CLIP_SIZE, 3), in which the ground is below."""
    rows, columns = _SHRINK * CLIP_SIZE[0], _SHRINK * CLIP_SIZE[1]
    top = int(rng.integers(FRAME[0] - rows - 60, FRAME[0] - rows - 30))
    left = int(rng.integers(0, FRAME[1] - columns + 1))
    part = camera.background[top : top + rows, left : left + columns]
    return part.reshape(CLIP_SIZE[0], _SHRINK, CLIP_SIZE[1], _SHRINK, 3).mean(axis=(1, 3))


def _develop(canvas: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    light = (canvas * camera.gain - 128) * np.float32(camera.contrast) + 128
    noisy = light + rng.normal(0, camera.noise, size=light.shape).astype(np.float32)
    return noisy.clip(0, 255).astype(np.uint8)


def filmstrip(clip: np.ndarray, *, columns: int = 8) -> Image.Image:
    """Return frames of a clip side by side, to look at."""
    places = np.linspace(0, len(clip) - 1, columns).round().astype(int)
    return Image.fromarray(np.concatenate([clip[place] for place in places], axis=1))


def render_strips(actions: Sequence[str], walkers: Sequence[Walker], camera: Camera, seed: int = 0) -> Image.Image:
    """Return a picture with a strip of each action."""
    rng = np.random.default_rng(seed)
    strips = [
        np.asarray(filmstrip(render_clip(action, walkers[place % len(walkers)], camera, rng)))
        for place, action in enumerate(actions)
    ]
    return Image.fromarray(np.concatenate(strips))
