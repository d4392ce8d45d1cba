"""Converts a state to plain data, the form in which it is saved: it can be loaded without running code of the file."""

import codecs
from collections import Counter, OrderedDict, defaultdict
from typing import Any

import numpy as np
import torch

MAX_DEPTH = 100


class _EmptyBytes:
    """Is loaded as b"". Pickled by itself, b"" is a call of `bytes`, which torch's safe loader refuses."""

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return codecs.encode, ("", "latin1")  # the form in which other bytes are pickled


_EMPTY_BYTES = _EmptyBytes()
_SCALARS = frozenset((str, bytes, int, float, bool, type(None)))
_CONTAINERS = frozenset((dict, OrderedDict, defaultdict, Counter, list, tuple, torch.Size))
# torch's safe unpickler reads integers of at most 255 bytes.
_MAX_INT_BITS = 2000


def to_plain(tree: Any, path: str = "checkpoint") -> Any:
    """Return `tree` as plain data: tensors, dict, list, tuple, str, bytes, int, float, bool and None.

    Containers are new objects, so later changes of the originals do not affect them. Tensors are detached but not
    copied, except views of less than half of their storage and expanded tensors: torch.save would write the whole
    storage (or write a file that cannot be read). Tied weights stay tied. numpy scalars become Python's, arrays become
    tensors, and the standard library's dicts become dicts (an OrderedDict keeps torch's `_metadata`).

    Args:
        tree: the state.
        path: the name of the root in error messages.

    Raises:
        TypeError: the state has a value of another type; the message has its dotted path.
        ValueError: a container contains itself, or is more than 100 levels deep.
    """
    return _Converter().convert(tree, path, 0)


class _Converter:
    """One conversion. It remembers the objects that it has seen, to keep shared objects shared and to detect cycles."""

    def __init__(self) -> None:
        self._containers: dict[int, Any] = {}
        self._open: set[int] = set()
        # View -> (tensor, copy). The tensor is stored too, so that no new tensor gets its address while this runs.
        self._copies: dict[tuple, tuple[torch.Tensor, torch.Tensor]] = {}
        self._dtypes: dict[tuple, torch.dtype] = {}

    def convert(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return self._scalar(value, path)
        if isinstance(value, torch.Tensor):
            return self._tensor(value, path)
        if kind in _CONTAINERS:
            return self._container(value, path, depth)
        if kind is np.ndarray:
            return self._array(value, path)
        if isinstance(value, np.generic) and not isinstance(scalar := value.item(), np.generic):
            return self.convert(scalar, path, depth)
        raise TypeError(
            f"{path} is a {kind.__module__}.{kind.__qualname__}, and a checkpoint holds plain data only: tensors, "
            "dict, list, tuple, str, bytes, int, float, bool and None. Convert it in the state_dict() that returns it."
        )

    def _container(self, value: Any, path: str, depth: int) -> Any:
        if id(value) in self._open:
            raise ValueError(f"{path} contains itself; a checkpoint cannot hold a cycle")
        if id(value) in self._containers:
            return self._containers[id(value)]
        if depth >= MAX_DEPTH:
            raise ValueError(f"{path} is more than {MAX_DEPTH} levels deep; flatten this state")
        self._open.add(id(value))
        result: Any
        if isinstance(value, dict):
            result = self._dict(value, path, depth)
        else:
            items = [self.convert(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
            result = items if type(value) is list else tuple(items)
        self._open.remove(id(value))
        self._containers[id(value)] = result
        return result

    def _dict(self, value: dict, path: str, depth: int) -> dict:
        metadata = getattr(value, "_metadata", None)
        result: dict = {} if metadata is None else OrderedDict()
        for key, item in value.items():
            plain_key = key if type(key) is str else self.convert(key, f"the key {key!r} of {path}", depth + 1)
            if isinstance(plain_key, torch.Tensor):
                raise TypeError(f"{path} has a tensor as a key; use a str or an int")
            result[plain_key] = self.convert(item, f"{path}.{key}", depth + 1)
        if metadata is not None:
            # torch's modules read here with which version of their class they were saved.
            result._metadata = self.convert(metadata, f"{path}._metadata", depth + 1)  # type: ignore[attr-defined]
        return result

    @staticmethod
    def _scalar(value: Any, path: str) -> Any:
        if type(value) is bytes and not value:
            return _EMPTY_BYTES
        if type(value) is int and value.bit_length() > _MAX_INT_BITS:
            raise TypeError(f"{path} is an integer of {value.bit_length()} bits; at most {_MAX_INT_BITS} can be saved")
        return value

    def _array(self, value: np.ndarray, path: str) -> torch.Tensor:
        try:
            return torch.from_numpy(np.array(value))
        except (TypeError, ValueError) as error:
            raise TypeError(f"{path} is a numpy array of {value.dtype}, which no tensor can hold: {error}") from error

    def _tensor(self, value: torch.Tensor, path: str) -> torch.Tensor:
        if type(value) not in (torch.Tensor, torch.nn.Parameter):
            raise TypeError(f"{path} is a {type(value).__qualname__}, a subclass of Tensor; save a plain tensor")
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise TypeError(f"{path} is not a dense tensor with data ({value.layout}, {value.device}, {value.dtype})")
        value = value.detach().resolve_conj().resolve_neg()
        storage = value.untyped_storage()
        nbytes = storage.nbytes()
        if not nbytes:
            return value
        place = (value.device, storage.data_ptr())
        fills_storage = nbytes / 2 <= value.nbytes <= nbytes
        # torch.save refuses two types over one storage.
        if fills_storage and self._dtypes.setdefault(place, value.dtype) == value.dtype:
            return value
        view = (*place, value.dtype, value.storage_offset(), value.shape, value.stride())
        if view not in self._copies:
            self._copies[view] = value, value.to("cpu", copy=True).contiguous()
        return self._copies[view][1]
