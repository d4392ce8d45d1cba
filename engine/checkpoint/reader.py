"""Reads checkpoint files: verifies them, accepts plain data only, and limits the memory by the size of the file."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from .errors import CheckpointError, DamagedCheckpoint
from .plain import MAX_DEPTH
from .safety import check_pickle, unsafe_error
from .verify import is_zip, read_pickle, verify_file

# Types that are allowed in addition to tensors and containers. Devices and dtypes are harmless, and files of other
# projects contain them.
_LEAVES = (str, bytes, int, float, bool, complex, type(None), torch.device, torch.dtype)
# A view can claim any size over a storage of one element (stride 0). Normal files have some tied and overlapping views.
_MAX_UNFOLDING = 16
_MIN_ALLOWANCE = 64 << 20
_LEGACY_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
# Magic number, protocol version, system, the tree, the storages' keys.
_LEGACY_PICKLES = 5
# Keys under which files store the weights.
_WEIGHTS = ("model", "state_dict", "model_state")


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Verify a `.pth` file and return it in the layout {"model": state dict, ...}, its tensors on the CPU.

    Files of this project, fvcore and detectron2 ({"model": ...}), {"state_dict": ...} (mmdet, CenterTrack),
    {"model_state": ...} (pycls, PySlowFast) and bare state dicts (torchvision) are supported. Files of torch before 1.6
    have no checksums: they are read, but a changed bit is not detected.

    Raises:
        FileNotFoundError: the file does not exist.
        DamagedCheckpoint: it is truncated, or bits of it have changed.
        UnsafeCheckpoint: it is a pickle that would run code (every `.pkl` file is refused).
        CheckpointError: it is undamaged but has no weights, or its tensors are far larger than the file.
    """
    path = Path(path).expanduser()  # a "~" in a YAML file is not expanded by a shell
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint file {path}; a URL must be downloaded first")
    if is_zip(path):
        verify_file(path)
        check_pickle(read_pickle(path), path)
    else:
        _check_legacy(path)
    return as_checkpoint(_load(path, mmap=False), path)


def peek_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the numbers and strings at the top level of a checkpoint, such as "iteration"; no tensor data are read.

    Raises:
        CheckpointError, OSError: as for `read_checkpoint`.
    """
    check_pickle(read_pickle(path), path)
    tree = _load(path, mmap=True)
    if not isinstance(tree, dict):
        raise CheckpointError(f"{path} holds a {type(tree).__name__}, not a dict")
    return {key: value for key, value in tree.items() if isinstance(value, str | int | float)}


def as_checkpoint(tree: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of a file in the layout {"model": state dict, ...}.

    Raises:
        CheckpointError: it has no weights.
    """
    if isinstance(tree, dict):
        for key in _WEIGHTS:
            if isinstance(tree.get(key), dict):
                rest = {name: value for name, value in tree.items() if name != key}
                return {**rest, "model": tree[key]}
        if tree and all(isinstance(value, torch.Tensor) for value in tree.values()):
            return {"model": tree}
    found = sorted(map(str, tree))[:10] if isinstance(tree, dict) else type(tree).__name__
    raise CheckpointError(f"{path} holds no weights: expected {', '.join(_WEIGHTS)} or a bare state dict, got {found}")


def _load(path: str | os.PathLike[str], *, mmap: bool) -> Any:
    try:
        tree = torch.load(os.fspath(path), map_location="cpu", weights_only=True, mmap=mmap)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # The file passed verification and still cannot be loaded: it was made by hand. torch raises many error types.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedCheckpoint(f"{path} cannot be decoded: {reason}") from error
    return _Cleaner(path).clean(tree, 0)


def _check_legacy(path: Path) -> None:
    """Check a file that is not a zip archive: only the old format of torch.save (five pickles, data) is accepted."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(len(_LEGACY_MAGIC))
        if head != _LEGACY_MAGIC:
            if head[:1] == b"\x80" or path.suffix == ".pkl":
                raise unsafe_error(path, "to be loaded with Python's pickle")
            raise DamagedCheckpoint(f"{path} is no checkpoint, or its beginning is damaged (it has {size} bytes)")
        file.seek(0)
        for _ in range(_LEGACY_PICKLES):
            check_pickle(file, path)


class _Cleaner:
    """Converts the loaded objects to plain data, and refuses views that claim far more memory than the file has."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._allowance = max(_MAX_UNFOLDING * Path(path).stat().st_size, _MIN_ALLOWANCE)
        self._views: set[tuple] = set()
        self._done: dict[int, Any] = {}
        self._keep: list[Any] = []

    def clean(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH + 2:
            raise CheckpointError(f"{self._path} is nested more than {MAX_DEPTH} levels deep")
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if not isinstance(value, dict | list | tuple):
            if not isinstance(value, _LEAVES):
                raise CheckpointError(f"{self._path} holds a {type(value).__qualname__}, which is no plain data")
            return value
        if id(value) not in self._done:
            # Marked until it is finished, so that a structure that contains itself is detected.
            self._done[id(value)] = _CYCLE
            self._keep.append(value)
            self._done[id(value)] = self._container(value, depth)
        if self._done[id(value)] is _CYCLE:
            raise CheckpointError(f"{self._path} holds a structure that contains itself")
        return self._done[id(value)]

    def _container(self, value: Any, depth: int) -> Any:
        if isinstance(value, list | tuple):
            items = [self.clean(item, depth + 1) for item in value]
            return items if isinstance(value, list) else tuple(items)
        # A file can give an OrderedDict attributes that shadow its methods, so the class's method is called.
        entries = {self._key(key, depth): self.clean(item, depth + 1) for key, item in dict.items(value)}
        metadata = vars(value).get("_metadata") if isinstance(value, OrderedDict) else None
        if metadata is None:
            return entries
        if not _is_metadata(metadata):
            raise CheckpointError(f"{self._path} holds weights whose _metadata are no versions of modules")
        ordered = OrderedDict(entries)
        ordered._metadata = self.clean(metadata, depth + 1)  # type: ignore[attr-defined]
        return ordered

    def _key(self, key: Any, depth: int) -> Any:
        if isinstance(key, torch.Tensor):
            raise CheckpointError(f"{self._path} has a tensor as the key of a dict")
        return self.clean(key, depth + 1)

    def _tensor(self, value: torch.Tensor) -> torch.Tensor:
        if value.layout != torch.strided or value.is_meta:
            raise CheckpointError(f"{self._path} holds a tensor without dense data ({value.layout}, {value.device})")
        value = value.detach()
        view = (value.untyped_storage().data_ptr(), value.dtype, value.storage_offset(), value.shape, value.stride())
        if view not in self._views:
            self._views.add(view)
            self._allowance -= value.nbytes
        if self._allowance < 0:
            raise CheckpointError(f"{self._path} claims tensors far larger than the file (shape {tuple(value.shape)})")
        return value


def _is_metadata(value: Any) -> bool:
    """Return True if this is the `_metadata` of Module.state_dict: {name: {"version": number or None, ...}}."""
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(facts, dict) and type(facts.get("version")) in (int, type(None))
        for name, facts in value.items()
    )


_CYCLE = object()
