"""Base class of data sets: a sequence of items with a fingerprint."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Items(Sequence[T], Generic[T]):
    """A sequence; a subclass implements `item_at` and `__len__`. Slices are lists."""

    @abstractmethod
    def item_at(self, index: int) -> T:
        """Return the item at `index`, 0 <= index < len(self)."""

    def fingerprint(self) -> str | None:
        """Return a short hash of all items in their order; None if every item would have to be read for it."""
        return None

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        places = range(len(self))[index]  # also raises IndexError, and resolves negative indices
        return [self.item_at(place) for place in places] if isinstance(places, range) else self.item_at(places)


def joint_fingerprint(parts: Sequence[Sequence[Any]], rule: bytes) -> str | None:
    """Return the hash of a data set made of others by a rule; None if one of them has no hash."""
    digest = hashlib.sha256(rule)
    for part in parts:
        found = part.fingerprint() if isinstance(part, Items) else None
        if found is None:
            return None
        digest.update(found.encode())
    return digest.hexdigest()[:16]
