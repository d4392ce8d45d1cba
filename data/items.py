"""What every data set is: a sequence of items that can be told from another one."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Items(Sequence[T], Generic[T]):
    """A sequence by the rule for one item; slices are lists."""

    @abstractmethod
    def item_at(self, index: int) -> T:
        """Return the item at `index`, 0 <= index < len(self)."""

    def fingerprint(self) -> str | None:
        """Return a short hash of all items in their order; None if only a look at each item could tell."""
        return None

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        places = range(len(self))[index]  # also refuses what is out of range
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
