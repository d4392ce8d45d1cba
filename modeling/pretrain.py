"""Weights that somebody else trained, from a file."""

import logging
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)


def load_pretrained(module: nn.Module, path: str | Path, *, ignore: Sequence[str] = ()) -> None:
    """Load every entry of a weight file that fits `module` by name and shape, and log what did not.

    Args:
        module: changed in place.
        path: a file of `torch.save`: a state dict, or a dict that holds one as "model" or "state_dict". A prefix
            "module." that all its names share is removed.
        ignore: prefixes of names in the file that are left out without a word, such as a classifier's.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no plain state dict, or none of its entries fits.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'no pretrained weights at {path}: give an existing file, or "" for random weights')
    found = _read_state_dict(path)
    own = module.state_dict()
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ValueError(
            f"nothing in {path} fits {type(module).__name__}: the file has {_sample(found)}, expected {_sample(own)}"
        )
    missing = module.load_state_dict(fitting, strict=False).missing_keys
    logger.info("Loaded %d of %d entries from %s", len(fitting), len(own), path)
    misshapen = [name for name in found if name in own and name not in fitting]
    left_over = [name for name in found if name not in own and not name.startswith(tuple(ignore))]
    _report(missing=[name for name in missing if name not in found], misshapen=misshapen, left_over=left_over)


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or holds more than tensors; save a plain state dict") from error
    for key in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} must hold a state dict (name -> tensor), found {type(content).__name__}")
    weights = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if all(name.startswith("module.") for name in weights):  # saved from within DistributedDataParallel
        weights = {name.removeprefix("module."): value for name, value in weights.items()}
    return weights


def _report(*, missing: list[str], misshapen: list[str], left_over: list[str]) -> None:
    for names, what in (
        (missing, "are not in the file and keep their initial values"),
        (misshapen, "have another shape in the file and keep their initial values"),
        (left_over, "are in the file only"),
    ):
        if names:
            logger.warning("%d entries %s: %s", len(names), what, ", ".join(names))


def _sample(entries: Mapping[str, Tensor]) -> str:
    shown = ", ".join(f"{name} {tuple(value.shape)}" for name, value in list(entries.items())[:3])
    return f"{len(entries)} entries ({shown}{', ...' if len(entries) > 3 else ''})"
