"""The one shape of which a body is made: a textured tube, shaded like a cylinder."""

from dataclasses import dataclass

import numpy as np

# Columns into which the visible half of a tube is divided.
_COLUMNS = 48
_ANGLES = np.arcsin(np.linspace(-1.0, 1.0, _COLUMNS))


@dataclass(frozen=True)
class Light:
    """What falls on everything that one camera sees.

    Attributes:
        angle: Where it comes from, in radians round the vertical: 0 is the camera, positive the right.
        ambient: Brightness in the shade, 0..1.
        diffuse: What full light adds to it.
    """

    angle: float
    ambient: float
    diffuse: float

    def shade(self) -> np.ndarray:
        """Return the brightness of each visible column of a tube, left to right."""
        return self.ambient + self.diffuse * np.cos(_ANGLES - self.angle).clip(0.0, None)


def draw_tube(
    canvas: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    radii: np.ndarray,
    texture: np.ndarray,
    light: Light,
    *,
    turn: float = 0.0,
    flat: float = 1.0,
) -> None:
    """Draw a tube over `canvas`, in place, with smooth edges and round ends.

    Args:
        canvas: float32 (H, W, 3), 0..255.
        start: (x, y) of the axis where row 0 of the texture lies, in pixels.
        end: (x, y) where the last row lies.
        radii: Half widths in pixels at equal distances from start to end, all positive.
        texture: uint8 (rows, columns, 4): down the axis and once round it, with opacity; the middle column is
            the front.
        light: What the tube is lit by.
        turn: Where the front points, in radians: 0 to the camera, pi / 2 to the right.
        flat: 1 ends the tube in half circles, more makes them flatter.
    """
    axis = end - start
    length = max(float(np.hypot(*axis)), 1e-3)
    dx, dy = axis / length
    reach = float(radii.max()) + 1.0
    x0, y0 = np.maximum(np.minimum(start, end) - reach, 0).astype(int)
    x1, y1 = np.minimum(np.maximum(start, end) + reach + 1, canvas.shape[1::-1]).astype(int)
    if x0 >= x1 or y0 >= y1:
        return
    x = np.arange(x0, x1, dtype=np.float32) - np.float32(start[0])
    y = (np.arange(y0, y1, dtype=np.float32) - np.float32(start[1]))[:, None]
    along = x * np.float32(dx) + y * np.float32(dy)
    across = x * np.float32(dy) - y * np.float32(dx)
    inside = along.clip(0, length)

    rows = len(texture)
    row = (inside * np.float32((rows - 1) / length)).astype(np.intp)
    profile = np.interp(np.linspace(0, 1, rows), np.linspace(0, 1, len(radii)), radii).astype(np.float32)
    radius = profile[row]
    beyond = (along - inside) * np.float32(flat)
    cover = (radius - np.sqrt(across * across + beyond * beyond) + np.float32(0.5)).clip(0, 1)
    column = (across / radius * np.float32(_COLUMNS / 2) + np.float32(_COLUMNS / 2)).clip(0, _COLUMNS - 1)

    front = texture.shape[1] * ((_ANGLES - turn) / (2 * np.pi) + 0.5)
    visible = texture[:, front.astype(int) % texture.shape[1]].astype(np.float32)
    visible[..., :3] *= light.shade().astype(np.float32)[:, None]
    visible[..., 3] /= 255
    colour = visible[row, column.astype(np.intp)]
    region = canvas[y0:y1, x0:x1]
    region += (colour[..., :3] - region) * (cover * colour[..., 3])[..., None]
