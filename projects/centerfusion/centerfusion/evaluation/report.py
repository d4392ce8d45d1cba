"""The figures of an evaluation as a table and as curves."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tabulate import tabulate

from ..data.classes import CLASSES
from .metrics import DISTANCES, ERRORS, DetectionMetrics

_COLOURS = {0.5: (31, 119, 180), 1.0: (255, 127, 14), 2.0: (44, 160, 44), 4.0: (214, 39, 40)}
_PLOT, _MARGIN = 180, 34


def class_table(metrics: DetectionMetrics) -> str:
    """Return a table with a row for each class: AP, AP at each distance, and the five errors."""
    headers = ["class", "AP", *(f"AP {d:g} m" for d in DISTANCES), "ATE", "ASE", "AOE", "AVE", "AAE"]
    rows = [
        [
            name,
            metrics.mean_dist_aps[name],
            *metrics.aps[name].values(),
            *(None if np.isnan(metrics.errors[name][error]) else metrics.errors[name][error] for error in ERRORS),
        ]
        for name in CLASSES
    ]
    at = [float(np.mean([metrics.aps[name][d] for name in CLASSES])) for d in DISTANCES]
    rows.append(["mean", metrics.mean_ap, *at, *metrics.mean_errors.values()])
    table = tabulate(rows, headers=headers, tablefmt="simple_outline", floatfmt=".3f", missingval="-")
    return f"{table}\nNDS {metrics.nds:.4f}"


def draw_curves(metrics: DetectionMetrics, path: Path) -> np.ndarray:
    """Write precision over recall of every class to a PNG file, and return it as (H, W, 3) uint8."""
    cell = _PLOT + _MARGIN + 12
    columns = 5
    sheet = Image.new("RGB", (columns * cell + 12, 2 * (cell + 8) + 24), "white")
    draw = ImageDraw.Draw(sheet)
    for i, name in enumerate(CLASSES):
        left, top = (i % columns) * cell + _MARGIN, (i // columns) * (cell + 8) + 20
        _draw_plot(draw, left, top, name, metrics)
    for k, distance in enumerate(DISTANCES):
        x = _MARGIN + 90 * k
        y = sheet.height - 14
        draw.line((x, y + 6, x + 20, y + 6), fill=_COLOURS[distance], width=2)
        draw.text((x + 26, y), f"{distance:g} m", fill="black")
    sheet.save(path)
    return np.asarray(sheet)


def _draw_plot(draw: ImageDraw.ImageDraw, left: int, top: int, name: str, metrics: DetectionMetrics) -> None:
    draw.rectangle((left, top, left + _PLOT, top + _PLOT), outline=(120, 120, 120))
    for share in (0.25, 0.5, 0.75):
        y = top + _PLOT * (1 - share)
        draw.line((left, y, left + _PLOT, y), fill=(225, 225, 225))
        draw.line((left + _PLOT * share, top, left + _PLOT * share, top + _PLOT), fill=(225, 225, 225))
    draw.text((left, top - 13), f"{name}, AP {metrics.mean_dist_aps[name]:.3f}", fill="black")
    for value, text in ((0.0, "0"), (1.0, "1")):
        draw.text((left - 10, top + _PLOT * (1 - value) - 6), text, fill="black")
    draw.text((left + _PLOT - 40, top + _PLOT + 2), "recall", fill="black")
    grid = np.linspace(0, 1, 101)
    for distance, colour in _COLOURS.items():
        precision = metrics.curves[name, distance].precision
        points = [(left + _PLOT * r, top + _PLOT * (1 - p)) for r, p in zip(grid, precision)]
        draw.line(points, fill=colour, width=2)
