"""A folder of image files that are the frames of one video."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..pictures.reading import read_image
from .decode import scaled_size
from .index import VideoError


class FrameFolder:
    """Frames by number, such as ``img_00001.jpg``.

    Args:
        folder: holds the files.
        template: the files' names, with a format field of the number: ``img_{:05}.jpg``.

    Raises:
        ValueError: the template has no field of a number, or is the path of a file elsewhere.
    """

    def __init__(self, folder: str | os.PathLike[str], template: str = "img_{:05}.jpg") -> None:
        self.folder, self.template = Path(folder), template
        if not _is_template(template):
            raise ValueError(f"a template of frames has one field of a number, as img_{{:05}}.jpg; came {template!r}")

    def numbers(self) -> list[int]:
        """Return the numbers of the frames that are there, ascending.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        if not self.folder.is_dir():
            raise FileNotFoundError(f"folder of frames {self.folder} does not exist: was the prefix left out?")
        before, _, after = self.template.partition("{")
        after = after.partition("}")[2]
        pattern = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
        matches = (pattern.fullmatch(entry.name) for entry in os.scandir(self.folder))
        return sorted(int(match[1]) for match in matches if match)

    def span(self) -> tuple[int, int]:
        """Return (number of the first frame, number of frames).

        Raises:
            FileNotFoundError: there is no such folder.
            VideoError: it has no frame of the template, or one between the first and the last is missing.
        """
        numbers = self.numbers()
        if not numbers:
            raise VideoError(f"folder {self.folder} has no frame like {self.template.format(1)}")
        if len(numbers) != numbers[-1] - numbers[0] + 1:
            missing = next(number for number in range(numbers[0], numbers[-1]) if number not in set(numbers))
            raise VideoError(f"folder {self.folder} lacks the frame {self.template.format(missing)}")
        return numbers[0], len(numbers)

    def read(self, numbers: Sequence[int] | np.ndarray, *, short_side: int = 0) -> np.ndarray:
        """Return frames as uint8 RGB (len(numbers), H, W, 3); each file is read once.

        Raises:
            FileNotFoundError: there is no such frame; the message says which numbers there are.
            VideoError: a file is no image, or the frames differ in size.
        """
        found: dict[int, np.ndarray] = {}
        for number in sorted(set(map(int, numbers))):
            path = self.folder / self.template.format(number)
            try:
                image = read_image(path)
            except FileNotFoundError as error:
                there = self.numbers()
                has = f"the frames {there[0]} to {there[-1]}" if there else "no frame of this name"
                raise FileNotFoundError(f"frame {path} does not exist; the folder has {has}") from error
            except ValueError as error:
                raise VideoError(str(error)) from error
            size = scaled_size(image.width, image.height, short_side)
            if size != image.size:
                image = image.resize(size, Image.Resampling.BILINEAR)
            found[number] = np.asarray(image)
        if len({frame.shape for frame in found.values()}) > 1:
            raise VideoError(f"the frames in {self.folder} differ in size")
        return np.stack([found[int(number)] for number in numbers])


def _is_template(template: str) -> bool:
    try:
        names = template.format(1), template.format(2)
    except (IndexError, KeyError, ValueError, AttributeError):
        return False
    return names[0] != names[1] and Path(names[0]).name == names[0]
