"""A small data set in COCO's format: bright rectangles on a dark ground, one class for each colour."""

import json

import numpy as np
from PIL import Image

CATEGORIES = [{"id": 7, "name": "red"}, {"id": 3, "name": "green"}, {"id": 44, "name": "blue"}]
_CHANNEL = {7: 0, 3: 1, 44: 2}


def coco_content(num_images=6, size=(64, 96), seed=0):
    """Return a COCO file's content; image i has i % 3 + 1 boxes."""
    rng = np.random.default_rng(seed)
    height, width = size
    images, annotations = [], []
    for number in range(num_images):
        images.append({"id": 100 + number, "file_name": f"{number}.png", "width": width, "height": height})
        for place in range(number % 3 + 1):
            w, h = (int(side) for side in rng.integers(12, 32, size=2))
            x, y = int(rng.integers(width - w)), int(rng.integers(height - h))
            category = CATEGORIES[(number + place) % 3]["id"]
            entry = {"id": len(annotations) + 1, "image_id": 100 + number, "category_id": category}
            annotations.append({**entry, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0})
    return {"images": images, "annotations": annotations, "categories": [dict(entry) for entry in CATEGORIES]}


def write_data(folder, content=None, **options):
    """Write a data set into a folder, and return the path of its annotation file."""
    content = coco_content(**options) if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    for image in content["images"]:
        pixels = np.full((image["height"], image["width"], 3), 30, dtype=np.uint8)
        for entry in content["annotations"]:
            if entry["image_id"] == image["id"] and entry["category_id"] in _CHANNEL:
                x, y, w, h = (int(value) for value in entry["bbox"])
                pixels[max(y, 0) : y + h, max(x, 0) : x + w, _CHANNEL[entry["category_id"]]] = 250
        Image.fromarray(pixels).save(folder / image["file_name"])
    (folder / "annotations.json").write_text(json.dumps(content))
    return str(folder / "annotations.json")
