"""A data set of rendered people who walk, run, wave, ...: to start with, and for tests."""

import json
import logging
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from steploop.data.synthetic.camera import make_camera
from steploop.data.synthetic.clips import ACTIONS, render_clip
from steploop.data.synthetic.people import draw_people
from steploop.data.synthetic.scene import get_ready

logger = logging.getLogger(__name__)

NAME = "synthetic-actions"
# Raised whenever the same recipe would give other pictures.
VERSION = 1
_RECORD = "dataset.json"
_QUALITY = 92


@dataclass(frozen=True)
class Recipe:
    """What decides every pixel.

    Attributes:
        train_clips: of each action.
        test_clips: of each action, by other people and cameras.
        train_people: who are seen in training.
        test_people: others.
        frames: of a clip.
        seed: of everything random.
        version: of the generator.
    """

    train_clips: int = 80
    test_clips: int = 25
    train_people: int = 40
    test_people: int = 25
    frames: int = 16
    seed: int = 0
    version: int = VERSION


def generate_actions(root: Path, recipe: Recipe | None = None) -> Path:
    """Return the folder of the data set; it is rendered if it is not there (about 40 s).

    It holds folders of frames, train.txt and test.txt (MMAction2's ``folder frames label``) and classes.txt.

    Raises:
        ValueError: the folder holds something else.
    """
    recipe = recipe or Recipe()
    if root.is_dir():
        if not (root / _RECORD).is_file() or json.loads((root / _RECORD).read_text()) != asdict(recipe):
            raise ValueError(f"{root} holds no synthetic actions of this version: delete it to render them again")
        return root
    logger.info("Rendering synthetic actions into %s (once, about 40 s)", root)
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}."))
    try:
        _render(temporary, recipe)
        temporary.chmod(0o755)
        temporary.rename(root)
    except OSError:
        if not (root / _RECORD).is_file():  # another process has been faster, with the same pictures
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return root


def _render(folder: Path, recipe: Recipe) -> None:
    rng = np.random.default_rng(recipe.seed)
    people = get_ready(draw_people(recipe.train_people + recipe.test_people, rng))
    cameras = [make_camera(number, rng) for number in range(12)]
    splits = {
        "train": (recipe.train_clips, people[: recipe.train_people], cameras[:8]),
        "test": (recipe.test_clips, people[recipe.train_people :], cameras[8:]),
    }
    for split, (count, walkers, views) in splits.items():
        lines = []
        for label, action in enumerate(ACTIONS):
            for number in range(count):
                place = label * count + number
                clip = render_clip(
                    action, walkers[place % len(walkers)], views[place % len(views)], rng, frames=recipe.frames
                )
                name = f"{split}/{action.replace(' ', '_')}_{number:03}"
                _write(clip, folder / name)
                lines.append(f"{name} {len(clip)} {label}\n")
        (folder / f"{split}.txt").write_text("".join(lines))
    (folder / "classes.txt").write_text("".join(f"{action}\n" for action in ACTIONS))
    (folder / _RECORD).write_text(json.dumps(asdict(recipe)))


def _write(clip: np.ndarray, folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(clip, start=1):
        Image.fromarray(frame).save(folder / f"img_{number:05}.jpg", quality=_QUALITY)
