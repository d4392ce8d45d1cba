"""An index of features: who is most like this one."""

import os
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from steploop.engine.checkpoint import CheckpointError, read_checkpoint, to_plain, write_checkpoint

from .evaluation.distances import pairwise_distance, require_finite

Id: TypeAlias = str | int

_KIND = "steploop.gallery"
# Queries that are compared with a part of the gallery at once.
_QUERY_BLOCK = 256
# Bytes of one pair of a query and an image: its distance and its sorting key, and what is made on the way to them.
_PAIR_BYTES = 32


class Gallery:
    """Features by id, searched exactly.

    Features are kept with length 1, as float32 on the CPU; a distance is 1 - cos, in 0..2. An id is a str or an int,
    such as a path or a number in a table, and stands for one feature.

    ::

        gallery = Gallery()
        gallery.add(predictor(files), files)
        distances, ids = gallery.query(predictor("q.jpg"), k=10)
        gallery.save("gallery.pt")

    Args:
        memory_mb: how many MiB a query may take beside the features; it does not change the result.

    Raises:
        ValueError: memory_mb is below 1.
    """

    def __init__(self, *, memory_mb: int = 256) -> None:
        if memory_mb < 1:
            raise ValueError(f"memory_mb must be at least 1, got {memory_mb}")
        self.memory_mb = memory_mb
        self._ids: dict[Id, None] = {}  # in the order of the rows
        # Joined when they are needed: joining them at each addition would copy the gallery every time.
        self._blocks: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._ids

    @property
    def ids(self) -> list[Id]:
        """The ids in the order in which they were added."""
        return list(self._ids)

    @property
    def dim(self) -> int | None:
        """The length of a feature; None as long as the gallery is empty."""
        return self._blocks[0].shape[1] if self._blocks else None

    @property
    def features(self) -> Tensor:
        """The features (N, D) in the order of `ids`; not to be changed."""
        if len(self._blocks) > 1:
            self._blocks = [torch.cat(self._blocks)]
        return self._blocks[0] if self._blocks else torch.empty(0, 0)

    def add(self, features: Tensor, ids: Sequence[Id]) -> None:
        """Add features (N, D) of any length and floating type, with an id for each.

        Raises:
            ValueError: the shapes do not fit, a feature is not finite or all zeros, or an id is there already or given
                twice: `remove` it first. Then nothing is added.
            TypeError: an id is neither a str nor an int, or the features are no tensor.
        """
        self._check(features, "new")
        if len(ids) != len(features) or isinstance(ids, str):
            raise ValueError(f"expected an id for each of {len(features)} features, got {len(ids)} ids")
        for key in ids:
            if type(key) not in (str, int):
                raise TypeError(f"an id is a str or an int, got {key!r}, a {type(key).__name__}")
        new = dict.fromkeys(ids)
        if taken := [key for key in new if key in self._ids]:
            raise ValueError(f"the gallery holds {_some(taken)} already: remove what is to be replaced")
        if len(new) != len(ids):
            raise ValueError(f"ids are given twice: {_some([key for key, n in Counter(ids).items() if n > 1])}")
        if len(ids):
            self._blocks.append(_unit(features).float())
            self._ids.update(new)

    def remove(self, ids: Iterable[Id]) -> None:
        """Remove the features of these ids; one given twice is removed once.

        Raises:
            KeyError: the gallery lacks one of them. Then nothing is removed.
        """
        gone = {ids: None} if isinstance(ids, str | int) else dict.fromkeys(ids)
        if unknown := [key for key in gone if key not in self._ids]:
            raise KeyError(f"the gallery does not hold {_some(unknown)}")
        if not gone:
            return
        kept = [place for place, key in enumerate(self._ids) if key not in gone]
        self._blocks = [self.features[kept]] if kept else []
        self._ids = {key: None for key in self._ids if key not in gone}

    def query(self, features: Tensor, k: int = 10) -> tuple[Tensor, list[list[Id]]]:
        """Return the k nearest of the gallery for each feature, the nearest first; all, where there are fewer.

        At equal distance, what was added first comes first.

        Args:
            features: (Q, D), or (D,) for one.
            k: at least 1.

        Returns:
            Distances (Q, min(k, N)), float32, and as many ids.

        Raises:
            ValueError, TypeError: the gallery is empty, k is below 1, or the features are not such as `add` takes.
        """
        features = features[None] if getattr(features, "ndim", None) == 1 else features
        self._check(features, "query")
        if k < 1:
            raise ValueError(f"expected k >= 1 results, got {k}")
        if not self._ids:
            raise ValueError("the gallery is empty: add features before searching it")
        limit, wide = self.memory_mb * 2**20, 8 * features.shape[1]  # a feature becomes float64
        rows = max(1, min(_QUERY_BLOCK, len(features), limit // (2 * wide)))
        columns = max(1, (limit - rows * wide) // (_PAIR_BYTES * rows + wide))
        keys = torch.cat([self._nearest(_unit(part), min(k, len(self)), columns) for part in features.split(rows)])
        ids = self.ids
        return _distances(keys), [[ids[place] for place in row] for row in _places(keys).tolist()]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the gallery to a file, atomically, as plain data.

        Raises:
            OSError: it could not be written; an older file is whole.
        """
        write_checkpoint(path, to_plain(self.state_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, memory_mb: int = 256) -> "Gallery":
        """Return the gallery of a file, whose checksums are compared; nothing in it is run.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, or holds something else.
        """
        gallery = cls(memory_mb=memory_mb)
        try:
            gallery.load_state_dict(read_checkpoint(path))
        except CheckpointError as error:
            raise type(error)(f"{path} is no gallery that can be read: {error}") from error
        return gallery

    def state_dict(self) -> dict[str, Any]:
        """Return what `save` writes."""
        # The layout of a checkpoint, so that it is verified as one when it is read.
        return {"kind": _KIND, "ids": self.ids, "model": {"features": self.features}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over `state_dict()`.

        Raises:
            CheckpointError: it is another object's.
        """
        features, ids = state_dict.get("model", {}).get("features"), state_dict.get("ids")
        fits = isinstance(features, Tensor) and features.ndim == 2 and features.dtype == torch.float32
        if state_dict.get("kind") != _KIND or not fits or not isinstance(ids, list) or len(ids) != len(features):
            raise CheckpointError("it does not hold what Gallery.save writes")
        if len(set(ids)) != len(ids) or any(type(key) not in (str, int) for key in ids):
            raise CheckpointError("its ids are not different strs and ints")
        self._ids, self._blocks = dict.fromkeys(ids), [features] if ids else []

    def _check(self, features: Tensor, which: str) -> None:
        if not isinstance(features, Tensor):
            raise TypeError(f"features are a tensor, got a {type(features).__name__}")
        if features.ndim != 2 or not features.is_floating_point():
            raise ValueError(f"expected {which} features (N, D) of a floating type, got {_describe(features)}")
        if self.dim is not None and features.shape[1] != self.dim:
            raise ValueError(
                f"the {which} features have {features.shape[1]} dimensions and those of the gallery {self.dim}: they "
                "come from two models"
            )
        require_finite(features, which)
        if len(zeros := (~features.any(dim=1)).nonzero()):
            raise ValueError(f"row {int(zeros[0])} of the {which} features is all zeros and has no direction")

    def _nearest(self, queries: Tensor, k: int, columns: int) -> Tensor:
        """Return the sorting keys (Q, k) of the nearest, looking at `columns` rows of the gallery at a time."""
        best = torch.empty(len(queries), 0, dtype=torch.int64)
        for start in range(0, len(self), columns):
            part = self.features[start : start + columns]
            keys = torch.cat([best, _keys(pairwise_distance(queries, part), start)], dim=1)
            best = keys.topk(min(k, keys.shape[1]), dim=1, largest=False).values
        return best


def _keys(distances: Tensor, start: int) -> Tensor:
    """Return integers that sort as (distance, place) do: no two are equal, so that ties have one order.

    The bits of floats that are not negative sort as the floats do; the place fills the lower half.
    """
    bits = (distances + 0.0).view(torch.int32).long()  # + 0.0 makes 0.0 of -0.0
    return bits * 2**32 + torch.arange(start, start + distances.shape[1])


def _places(keys: Tensor) -> Tensor:
    return keys % 2**32


def _distances(keys: Tensor) -> Tensor:
    return (keys // 2**32).to(torch.int32).view(torch.float32)


def _unit(features: Tensor) -> Tensor:
    """Return a copy on the CPU with rows of length 1, in float64, in which no float32 overflows."""
    return torch.nn.functional.normalize(features.detach().to("cpu", torch.float64), eps=0.0)


def _describe(features: Tensor) -> str:
    return f"{tuple(features.shape)} of {features.dtype}"


def _some(ids: Sequence[Id], limit: int = 3) -> str:
    return ", ".join(map(repr, ids[:limit])) + (f" and {len(ids) - limit} more" if len(ids) > limit else "")
