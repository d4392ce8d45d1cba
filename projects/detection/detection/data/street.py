"""Generated street scenes: people, cars and signs, with their boxes, in COCO's format."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from steploop.data import datasets_root
from steploop.data.synthetic.camera import Camera, develop, make_camera
from steploop.data.synthetic.figure import Pose, draw_person
from steploop.data.synthetic.people import draw_people
from steploop.data.synthetic.scene import Walker, get_ready

from .datasets import DATASET_REGISTRY, DetectionData, Spec, coco_dataset

NAME = "synthetic-streets"
CLASSES = ("person", "car", "sign")
SPLITS = {"train": 160, "val": 40}
# Height and width of a picture; a scene is drawn twice as large.
SIZE = (128, 192)
# Raised whenever the same arguments would give other pictures.
VERSION = 1
_NUM_PEOPLE, _NUM_CAMERAS = 24, 6
# Two things of which one hides more than this share of the other do not stand in one picture.
_MAX_HIDDEN = 0.4

Canvas = NDArray[np.float32]
Box = tuple[float, float, float, float]


@DATASET_REGISTRY.register(name="StreetScenes")
def street_scenes(split: str, *, training: bool, pipeline: Any = (), classes: Any = None) -> DetectionData:
    """Return a split, "train" or "val"; rendered into $STEPLOOP_DATASETS/synthetic-streets where it is not there."""
    if split not in SPLITS:
        raise ValueError(f"StreetScenes has the splits {', '.join(SPLITS)}; came {split!r}")
    root = generate_streets(datasets_root() / NAME)
    options: Spec = {"pipeline": pipeline, "classes": classes, "bad_boxes": "raise"}
    return coco_dataset(str(root / f"{split}.json"), training=training, img_prefix=str(root / split), **options)


def generate_streets(root: str | os.PathLike[str], *, splits: dict[str, int] | None = None, seed: int = 0) -> Path:
    """Render all splits into a folder, unless it is there; it appears whole or not at all.

    Args:
        root: the folder; its parents are made.
        splits: pictures of each split.
        seed: of everything random.

    Raises:
        FileExistsError: the folder holds something else.
    """
    root, splits = Path(root), splits or SPLITS
    recipe = {"splits": splits, "seed": seed, "version": VERSION}
    if root.exists():
        record = root / "dataset.json"
        if not record.is_file() or json.loads(record.read_text()) != recipe:
            raise FileExistsError(f"{root} is not the data set {recipe}: move it away, or choose another place")
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        _render(unfinished, splits, seed)
        (unfinished / "dataset.json").write_text(json.dumps(recipe))
        unfinished.chmod(0o755)
        try:
            unfinished.rename(root)
        except OSError:  # another process was faster
            if not root.exists():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return root


def _render(root: Path, splits: dict[str, int], seed: int) -> None:
    people = get_ready(draw_people(_NUM_PEOPLE, np.random.default_rng([seed, 0])))
    cameras = [make_camera(i, np.random.default_rng([seed, 1, i])) for i in range(_NUM_CAMERAS)]
    for number, (split, count) in enumerate(splits.items()):
        (root / split).mkdir()
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(count):
            rng = np.random.default_rng([seed, 2 + number, index])
            picture, things = draw_street(cameras[index % _NUM_CAMERAS], people, rng)
            name = f"{index:04d}.jpg"
            picture.save(root / split / name, quality=90)
            images.append({"id": index + 1, "file_name": name, "width": SIZE[1], "height": SIZE[0]})
            for label, (x1, y1, x2, y2) in things:
                entry = {"id": len(annotations) + 1, "image_id": index + 1, "category_id": label + 1, "iscrowd": 0}
                box = [round(float(value), 2) for value in (x1, y1, x2 - x1, y2 - y1)]
                annotations.append({**entry, "bbox": box, "area": box[2] * box[3]})
        categories = [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"{split}.json").write_text(json.dumps(content))


def draw_street(
    camera: Camera, people: list[Walker], rng: np.random.Generator
) -> tuple[Image.Image, list[tuple[int, Box]]]:
    """Return a picture of SIZE and what stands in it: labels and boxes (x1, y1, x2, y2) in its pixels."""
    rows, columns = 2 * SIZE[0], 2 * SIZE[1]
    background = Image.fromarray(camera.background.clip(0, 255).astype(np.uint8)).resize((columns, rows))
    canvas = np.asarray(background, dtype=np.float32).copy()
    things: list[tuple[int, Box]] = []
    # From the back to the front: what stands lower is nearer.
    for foot in sorted(rng.uniform(0.5, 0.97, size=int(rng.integers(2, 6)))):
        label = int(rng.choice(3, p=(0.5, 0.3, 0.2)))
        for _ in range(8):
            before = canvas.copy()
            draw = (_draw_walker, _draw_car, _draw_sign)[label]
            box = draw(canvas, camera, people, rng, (rng.uniform(0.08, 0.92) * columns, foot * rows))
            if box is not None and all(_hidden(old, box) < _MAX_HIDDEN for _, old in things):
                things.append((label, box))
                break
            canvas = before
    picture = develop(canvas, camera, SIZE, rng)
    return picture, [(label, (x1 / 2, y1 / 2, x2 / 2, y2 / 2)) for label, (x1, y1, x2, y2) in things]


def _draw_walker(
    canvas: Canvas, camera: Camera, people: list[Walker], rng: np.random.Generator, foot: tuple[float, float]
) -> Box | None:
    walker = people[int(rng.integers(len(people)))]
    stride = rng.uniform(0.15, 0.5)
    pose = Pose(
        heading=rng.uniform(-np.pi, np.pi),
        phase=rng.uniform(0, 2 * np.pi),
        stride=stride,
        swing=stride * rng.uniform(0.5, 1.1),
        elbow=rng.uniform(0.1, 0.6),
        tilt=camera.tilt,
    )
    height = foot[1] * rng.uniform(0.45, 0.6)
    # What hides its ground has one colour on any ground; a shadow has not.
    grounds = [np.full_like(canvas, value) for value in (0.0, 1000.0)]
    for ground in (*grounds, canvas):
        draw_person(ground, walker.person, walker.wardrobe, pose, camera.light, foot=foot, height=height)
    solid = (np.abs(grounds[1] - grounds[0]) < 500).all(axis=2)
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if len(rows) < 8 or len(columns) < 8:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _draw_car(
    canvas: Canvas, camera: Camera, people: list[Walker], rng: np.random.Generator, foot: tuple[float, float]
) -> Box | None:
    height = foot[1] * rng.uniform(0.22, 0.3)
    width, wheel = height * rng.uniform(1.9, 2.4), height * 0.3
    x1, y2 = foot[0] - width / 2, foot[1]
    colour = tuple(int(value) for value in rng.integers(40, 230, size=3))
    image, draw = _as_image(canvas)
    y1 = y2 - height
    cabin = [(x1 + 0.18 * width, y1 + 0.5 * height), (x1 + 0.3 * width, y1)]
    cabin += [(x1 + 0.7 * width, y1), (x1 + 0.84 * width, y1 + 0.5 * height)]
    draw.polygon(cabin, fill=colour)
    glass = tuple(value // 4 + 120 for value in colour)
    draw.polygon([(x * 0.8 + foot[0] * 0.2, y * 0.85 + (y1 + 0.3 * height) * 0.15) for x, y in cabin], fill=glass)
    draw.rounded_rectangle((x1, y1 + 0.42 * height, x1 + width, y2 - wheel / 2), wheel / 2, fill=colour)
    for share in (0.22, 0.78):
        centre = x1 + share * width
        draw.ellipse((centre - wheel / 2, y2 - wheel, centre + wheel / 2, y2), fill=(25, 25, 28))
    canvas[:] = np.asarray(image, dtype=np.float32)
    return _inside(canvas, (x1, y1, x1 + width, y2))


def _draw_sign(
    canvas: Canvas, camera: Camera, people: list[Walker], rng: np.random.Generator, foot: tuple[float, float]
) -> Box | None:
    size = foot[1] * rng.uniform(0.13, 0.2)
    top, centre = foot[1] - foot[1] * rng.uniform(0.4, 0.55), foot[0]
    image, draw = _as_image(canvas)
    draw.rectangle((centre - size / 14, top, centre + size / 14, foot[1]), fill=(120, 120, 124))
    disc = (centre - size / 2, top, centre + size / 2, top + size)
    draw.ellipse(disc, fill=(200, 30, 34))
    border = size * 0.14
    draw.ellipse((disc[0] + border, disc[1] + border, disc[2] - border, disc[3] - border), fill=(236, 236, 230))
    canvas[:] = np.asarray(image, dtype=np.float32)
    return _inside(canvas, disc)


def _as_image(canvas: Canvas) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.fromarray(canvas.clip(0, 255).astype(np.uint8))
    return image, ImageDraw.Draw(image)


def _inside(canvas: Canvas, box: Box) -> Box | None:
    """Return the part of a box inside of the canvas, or None where less than half of it is."""
    rows, columns = canvas.shape[:2]
    x1, y1, x2, y2 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(columns)), min(box[3], float(rows))
    if (x2 - x1) * (y2 - y1) < 0.5 * (box[2] - box[0]) * (box[3] - box[1]):
        return None
    return x1, y1, x2, y2


def _hidden(behind: Box, front: Box) -> float:
    """Return the share of a box that one in front of it covers."""
    width = min(behind[2], front[2]) - max(behind[0], front[0])
    height = min(behind[3], front[3]) - max(behind[1], front[1])
    return max(width, 0.0) * max(height, 0.0) / ((behind[2] - behind[0]) * (behind[3] - behind[1]))
