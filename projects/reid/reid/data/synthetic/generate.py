"""A data set of synthetic pedestrians in the layout of Market-1501."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from steploop.data.synthetic.camera import make_camera
from steploop.data.synthetic.people import draw_people
from steploop.data.synthetic.scene import get_ready, take_picture

from ..market1501 import FOLDERS

# Raised whenever the same arguments would give other pictures.
VERSION = 1
RECORD = "dataset.json"
_TRAIN, _QUERY, _GALLERY = FOLDERS


@dataclass(frozen=True)
class Recipe:
    """What decides every pixel of a data set.

    Attributes:
        num_train: Identities to train on, each seen by every camera.
        num_test: Other identities, for query and gallery.
        num_cameras: Cameras, 2 to 9.
        per_camera: Pictures of each training identity by each camera; the gallery has one less of each test identity,
            beside the query.
        seed: Of everything random.
        version: Of the generator.

    Raises:
        ValueError: A number is too small or too large.
    """

    num_train: int = 60
    num_test: int = 40
    num_cameras: int = 6
    per_camera: int = 3
    seed: int = 0
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.num_train < 1 or self.num_test < 2 or not 2 <= self.num_cameras <= 9 or self.per_camera < 2:
            raise ValueError(
                "synthetic pedestrians need at least 1 identity to train on and 2 to test on, 2 to 9 cameras and 2 "
                f"pictures per camera; got {self}"
            )
        if self.seed < 0:
            raise ValueError(f"a seed is not negative; got {self.seed}")


@dataclass(frozen=True)
class _Shot:
    folder: str
    pid: int  # 0 is a distractor, -1 is junk
    camera: int
    number: int


def generate_pedestrians(root: str | os.PathLike[str], recipe: Recipe | None = None, *, progress: bool = True) -> Path:
    """Render a data set into `root`, unless it is there already.

    The folder appears whole or not at all, also when several processes render it at once or are killed.

    Args:
        root: The folder; its parents are made.
        recipe: What to render; the default takes a few seconds.
        progress: Show a bar where the error stream is a terminal.

    Returns:
        `root`.

    Raises:
        FileExistsError: `root` holds something else, or the pictures of another recipe.
        ValueError: There are too many people to tell them apart.
    """
    recipe = recipe or Recipe()
    root = Path(root)
    if _is_there(root, recipe):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        _render(unfinished, recipe, progress)
        (unfinished / RECORD).write_text(json.dumps(asdict(recipe), indent=2) + "\n")
        unfinished.chmod(0o755)
        try:
            unfinished.rename(root)
        except OSError:  # another process was faster
            if not _is_there(root, recipe):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return root


def _is_there(root: Path, recipe: Recipe) -> bool:
    if not root.exists():
        return False
    try:
        found = json.loads((root / RECORD).read_text())
    except (OSError, ValueError):
        raise FileExistsError(
            f"{root} is not a data set of synthetic pedestrians: move it, or choose another name"
        ) from None
    if found != asdict(recipe):
        raise FileExistsError(
            f"{root} holds synthetic pedestrians of another recipe ({found}): delete it to render {asdict(recipe)}"
        )
    return True


def _render(root: Path, recipe: Recipe, progress: bool) -> None:
    rng = np.random.default_rng([recipe.seed, 0])
    walkers = get_ready(draw_people(recipe.num_train + recipe.num_test, rng))
    cameras = [make_camera(i, np.random.default_rng([recipe.seed, 1, i])) for i in range(recipe.num_cameras)]
    # Only people of the same half walk through each other's pictures: nobody to be tested is seen in training.
    halves = {_TRAIN: walkers[: recipe.num_train]}
    for folder in FOLDERS:
        (root / folder).mkdir()
    for index, shot in enumerate(_with_progress(list(_shots(recipe)), progress)):
        passers = halves.get(shot.folder, walkers[recipe.num_train :])
        picture = take_picture(
            walkers[shot.pid - 1] if shot.pid > 0 else None,
            cameras[shot.camera],
            np.random.default_rng([recipe.seed, 2, index]),
            passers,
        )
        pid = "-1" if shot.pid < 0 else f"{shot.pid:04d}"
        name = f"{pid}_c{shot.camera + 1}s1_{index:06d}_{shot.number:02d}.jpg"
        picture.save(root / shot.folder / name, quality=cameras[shot.camera].quality)


def _shots(recipe: Recipe) -> Iterator[_Shot]:
    everywhere = range(recipe.num_cameras)
    for pid in range(1, recipe.num_train + 1):
        yield from (_Shot(_TRAIN, pid, camera, n) for camera in everywhere for n in range(recipe.per_camera))
    for pid in range(recipe.num_train + 1, recipe.num_train + recipe.num_test + 1):
        yield from (_Shot(_QUERY, pid, camera, 0) for camera in everywhere)
        yield from (_Shot(_GALLERY, pid, camera, n) for camera in everywhere for n in range(1, recipe.per_camera))
    for camera in everywhere:
        yield from (_Shot(_GALLERY, pid, camera, n) for pid in (0, -1) for n in range(4))


def _with_progress(shots: list[_Shot], progress: bool) -> Iterator[_Shot]:
    if not (progress and sys.stderr.isatty()):
        yield from shots
        return
    from tqdm import tqdm

    yield from tqdm(shots, desc="rendering pedestrians", unit="picture", leave=False)
