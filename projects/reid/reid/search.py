"""Searches a folder of images for those that look like a query."""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from steploop.data import IMAGE_SUFFIXES, files_below
from steploop.engine.checkpoint import CheckpointError, read_checkpoint, to_plain, write_checkpoint

from .gallery import Gallery
from .predictor import ReidPredictor

logger = logging.getLogger(__name__)

_KIND = "steploop.folder_index"
_STATE = {"kind", "folder", "predictor", "states", "skipped"}


class Match(NamedTuple):
    """An image of the folder that was found: its file, and its distance to the query, 1 - cos."""

    path: Path
    distance: float


class Changes(NamedTuple):
    """What an update did: names of the files that were read, of those that have gone, and why others were skipped."""

    read: list[str]
    gone: list[str]
    skipped: dict[str, str]


class FolderIndex:
    """The features of all images below a folder.

    Files are known by their path below the folder; one whose size or time of change differs is read again. An update
    that an error interrupts can be taken up again.

    Args:
        folder: where the images are.
        predictor: what makes features.

    Attributes:
        gallery: the features, by path below the folder, with "/".

    Raises:
        FileNotFoundError: there is no such folder.
    """

    def __init__(self, folder: str | Path, predictor: ReidPredictor) -> None:
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder} to search in")
        self.predictor = predictor
        self.gallery = Gallery()
        self._states: dict[str, list[int]] = {}  # size and time of change, also of files that are no images
        self._skipped: dict[str, str] = {}

    def update(self) -> Changes:
        """Read what is new or has changed, and forget what has gone; show the progress on a terminal.

        A file that is no image, or a damaged one, is skipped with a warning, and looked at again when it changes; one
        that the system could not read, such as for want of permission, is tried again each time.

        Raises:
            ValueError: there is no image that can be read.
        """
        found = {path.relative_to(self.folder).as_posix(): _state(path) for path in list_images(self.folder)}
        changed = [name for name, state in found.items() if self._states.get(name) != state]
        gone = [name for name in {**self._states, **self._skipped} if name not in found]
        self._forget([*gone, *changed])
        for names, samples in self._samples({name: found[name] for name in changed}):
            self.gallery.add(self.predictor.predict(samples), names)
            self._states |= {name: found[name] for name in names}
        if not len(self.gallery):
            listed = f"{len(found)} files are none that can be read" if found else "no file"
            raise ValueError(f"{self.folder} holds no image to search among ({listed} of {', '.join(IMAGE_SUFFIXES)})")
        return Changes([name for name in changed if name not in self._skipped], gone, dict(self._skipped))

    def search(self, query: Path, features: Tensor, top: int) -> list[Match]:
        """Return the `top` nearest of the folder's images, the nearest first, without the query's own file.

        Args:
            query: the query's file.
            features: its features (D,).
            top: how many, at least 1.

        Raises:
            ValueError: `top` is below 1.
        """
        if top < 1:
            raise ValueError(f"expected top >= 1 images for each query, got {top}")
        own = {query.resolve(), query.parent.resolve() / query.name}  # two, where it is a link
        distances, ids = self.gallery.query(features, top + len(own))
        found = [Match(self.folder / str(name), distance) for name, distance in zip(ids[0], distances[0].tolist())]
        return [match for match in found if match.path not in own][:top]

    def save(self, path: str | Path) -> None:
        """Write the index to a file, atomically, as plain data."""
        state = {
            "kind": _KIND,
            "folder": str(self.folder),
            "predictor": fingerprint(self.predictor),
            "states": self._states,
            "skipped": self._skipped,
        }
        write_checkpoint(path, to_plain({**self.gallery.state_dict(), "index": state}))

    def load(self, path: str | Path) -> bool:
        """Take over what `save` wrote, and say whether it was of use: one of another folder or other weights is not.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged or no index.
        """
        try:
            saved = read_checkpoint(path)
            state = saved.get("index")
            if not isinstance(state, dict) or state.get("kind") != _KIND or not state.keys() >= _STATE:
                raise CheckpointError("it does not hold what search.py writes")
            gallery = Gallery()
            gallery.load_state_dict(saved)
        except CheckpointError as error:
            raise type(error)(f"{path} is no index ({error}): delete it, or name another file") from error
        for what, own in (("folder", str(self.folder)), ("predictor", fingerprint(self.predictor))):
            if state[what] != own:
                logger.info("%s was made with another %s: it is made anew", path, what)
                return False
        self.gallery, self._states, self._skipped = gallery, state["states"], state["skipped"]
        return True

    def _forget(self, names: Iterable[str]) -> None:
        for name in (names := list(names)):
            self._states.pop(name, None)
            self._skipped.pop(name, None)
        self.gallery.remove([name for name in names if name in self.gallery])

    def _samples(self, files: Mapping[str, list[int]]) -> Iterator[tuple[list[str], list[Tensor]]]:
        """Yield batches of names and samples of the files that can be read; note the state of those that never can."""
        batch: tuple[list[str], list[Tensor]] = [], []
        for name, state in tqdm(files.items(), desc="reading", unit="image", leave=False, disable=None):
            try:
                sample = self.predictor.preprocess(self.folder / name)
            except (ValueError, OSError) as error:
                self._skipped[name] = str(error)
                if isinstance(error, ValueError):
                    self._states[name] = state
                logger.warning("skipped: %s", error)
                continue
            batch[0].append(name)
            batch[1].append(sample)
            if len(batch[0]) == self.predictor.batch_size:
                yield batch
                batch = [], []
        if batch[0]:
            yield batch


def list_images(folder: Path) -> list[Path]:
    """Return the image files below a folder, also behind links; hidden files and folders are skipped."""
    return sorted(path for path in files_below(folder) if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def fingerprint(predictor: ReidPredictor) -> str:
    """Return a hash of what features depend on: the weights, and how the model and its input are made.

    The weights are those in memory: a training may have replaced their file since. It also changes with some keys that
    do not matter: features made again cost time, and wrong ones an answer.
    """
    parts = {name: predictor.cfg[name].to_dict() for name in ("MODEL", "INPUT", "TEST")}
    for key in ("WEIGHTS", "DEVICE"):
        del parts["MODEL"][key]
    digest = hashlib.sha256(str(parts).encode())
    for weights in predictor.model.state_dict().values():
        digest.update(weights.reshape(-1).view(torch.uint8).numpy(force=True))
    return digest.hexdigest()


def open_index(folder: str | Path, predictor: ReidPredictor, path: str | Path = "") -> FolderIndex:
    """Return the up-to-date index of a folder.

    Args:
        folder: where the images are.
        predictor: what makes features.
        path: where the index is kept; "" keeps it nowhere.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no image in it, or `path` is a file that is no index.
    """
    index = FolderIndex(folder, predictor)
    start = time.perf_counter()
    if path and Path(path).exists():
        index.load(path)
    changes = index.update()
    logger.info(
        "%s: images %d, read %d, gone %d, skipped %d (%.1f s)",
        folder, len(index.gallery), len(changes.read), len(changes.gone), len(changes.skipped),
        time.perf_counter() - start,
    )  # fmt: skip
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        index.save(path)
    return index


def embed_queries(predictor: ReidPredictor, queries: Sequence[str | Path]) -> dict[Path, Tensor]:
    """Return the features (D,) of each query's file.

    Raises:
        ValueError, FileNotFoundError: a query is missing or no image, or there is none.
    """
    paths = list(dict.fromkeys(map(Path, queries)))
    return dict(zip(paths, predictor(paths)))


def search(index: FolderIndex, queries: Mapping[Path, Tensor], top: int = 10) -> dict[Path, list[Match]]:
    """Return the `top` nearest images of the folder for each query, which is what `embed_queries` returned."""
    return {path: index.search(path, features, top) for path, features in queries.items()}


def _state(path: Path) -> list[int]:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]
