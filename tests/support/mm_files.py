"""Published mm configs, from the recorded ones."""

import gzip
import json

from shared_files import shared


def published(name):
    """Return the config of a file of mmdet 2.28.2, such as "retinanet/retinanet_r50_fpn_1x_coco"."""
    with gzip.open(shared("golden/mm_configs.json.gz"), "rt") as stream:
        return untagged(json.load(stream)[f"mmdet-2.28.2/mmdet/.mim/configs/{name}.py"])


def untagged(value):
    """Return recorded values with their tuples."""
    if isinstance(value, dict):
        if set(value) == {"__tuple__"}:
            return tuple(map(untagged, value["__tuple__"]))
        return {key: untagged(item) for key, item in value.items()}
    return [untagged(item) for item in value] if isinstance(value, list) else value


def write_published(name, folder):
    """Write such a config as a Python file into a folder, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.rpartition('/')[2]}.py"
    path.write_text("\n".join(f"{key} = {value!r}" for key, value in published(name).items()))
    return str(path)
