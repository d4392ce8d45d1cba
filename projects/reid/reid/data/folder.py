"""Reads a folder that has a subfolder for each identity."""

import logging
import re
from pathlib import Path

from steploop.data import IMAGE_SUFFIXES, files_below

from .labelled import SPLITS, Labelled, Subsets, make_subsets

_CAMERA = re.compile(r"(?<![a-z0-9])(?:c|cam|camera)[ _-]?([0-9]{1,3})(?:s[0-9]+)?(?![a-z0-9])", re.IGNORECASE)
_LAYOUT = (
    "expected a subfolder for each identity with its images (<identity>/<image>), or such folders in train/, query/ "
    "and gallery/ (or train/ and test/)"
)

logger = logging.getLogger(__name__)


def read_folder(root: Path) -> Subsets:
    """Return (train, query, gallery) of ``root/<identity>/**/<image>``.

    Where `root` has subfolders train/, and query/ and gallery/ or test/ (in upper or lower case), the identities lie in
    those. Otherwise half of the identities are to test on (`split_identities`); of a test identity, one image by each
    camera is a query (`part_test`).

    The camera is in the image's name, or in that of a folder between identity and image; see `camera_of`.

    Raises:
        ValueError: there is no image below a subfolder; train/ lies beside folders that are no splits; `make_subsets`
            finds something missing.
    """
    folders = _subfolders(root)
    splits = [folder.name for folder in folders if folder.name.lower() in SPLITS]
    if not splits:
        images = _read_identities(root, None)
    else:
        if others := [folder.name for folder in folders if folder.name not in splits]:
            raise ValueError(
                f"{root} has the splits {', '.join(splits)} and beside them "
                f"{', '.join(others[:3])}{', ...' if others[3:] else ''}: known splits are {', '.join(SPLITS)}; rename "
                "what is meant as one of them, and move everything else into them or away"
            )
        images = [image for folder in folders for image in _read_identities(folder, folder.name.lower())]
    return make_subsets(images, str(root))


def camera_of(name: str) -> str | None:
    """Return the number of the camera in a file's name or path, without leading zeros, or None if it tells none.

    It is a word "c", "cam" or "camera" in any case with up to three digits, as in ``c3_0001.jpg``, ``0007_c2s1_01.jpg``
    (Market-1501), ``door-cam12.png`` and ``camera_4/17.jpg``; the first one counts.
    """
    match = _CAMERA.search(name)
    return str(int(match[1])) if match else None


def _read_identities(folder: Path, split: str | None) -> list[Labelled]:
    identities = _subfolders(folder)
    images, empty = [], []
    for identity in identities:
        paths = _images_below(identity)
        if not paths:
            empty.append(identity.name)
        for path in paths:
            camera = camera_of(path.relative_to(identity).with_suffix("").as_posix())
            images.append(Labelled(str(path), identity.name, camera, split))
    loose = [entry for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()]
    if not images:
        raise ValueError(
            f"{folder} has {len(identities)} subfolders with no image in them, and {len(loose)} images of its own: "
            f"{_LAYOUT}; images are files {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    if empty or loose:
        logger.warning(
            "%s: ignored %d subfolders without images and %d images in no subfolder: %s",
            *(folder, len(empty), len(loose), ", ".join([*empty, *(path.name for path in loose)][:5])),
        )
    unknown = sum(image.camera is None for image in images)
    logger.info("%s: %d images, %d of them without a camera in their name", folder, len(images), unknown)
    return images


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())


def _images_below(folder: Path) -> list[Path]:
    """Return the images in a folder and the folders in it, also behind links; hidden ones are skipped."""
    return sorted(path for path in files_below(folder) if path.suffix.lower() in IMAGE_SUFFIXES)
