"""Finds the functions that a pickle would call, without calling them; the error for an unsafe file names them."""

import os
import pickletools
import re
from typing import IO

from .errors import DamagedCheckpoint, UnsafeCheckpoint

# Everything that plain data and tensors need. torch's own list is longer: it also allows sets, sparse tensors and
# buffers of any length, which a checkpoint of weights does not need.
_ALLOWED = {
    "collections OrderedDict",
    "collections Counter",
    "_codecs encode",
    "torch Size",
    "torch device",
    "torch.nn.parameter Parameter",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    "torch.storage UntypedStorage",
}
_TORCH_NAMES = re.compile(r"^torch (\w+Storage|u?int\d+|b?float\d+(_\w+)?|bool|complex\d+)$")
# These opcodes look up a function in other ways; torch.save writes none of them.
_REFUSED_OPCODES = {"INST", "OBJ", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX"}


def check_pickle(stream: bytes | IO[bytes], path: str | os.PathLike[str]) -> None:
    """Check that a pickle builds only tensors and plain data.

    Args:
        stream: the pickle, or an open file at the pickle's first byte; it is read up to the end of the pickle.
        path: the file that contains the pickle, for error messages.

    Raises:
        UnsafeCheckpoint: it names a function or class that plain data do not need.
        DamagedCheckpoint: it is not a pickle, or is truncated.
    """
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            unsafe = opcode.name in _REFUSED_OPCODES
            if opcode.name == "GLOBAL" and argument is not None:
                unsafe = argument not in _ALLOWED and not _TORCH_NAMES.match(argument)
            if unsafe:
                raise unsafe_error(path, f"{argument or opcode.name}".replace(" ", "."))
    except UnsafeCheckpoint:
        raise
    # genops raises ValueError for unknown opcodes, and the errors of int() and of decoding for their arguments.
    except (ValueError, EOFError, IndexError, OverflowError, MemoryError) as error:
        raise DamagedCheckpoint(f"{path} is damaged: its structure cannot be read ({error})") from error


def unsafe_error(path: str | os.PathLike[str], what: str) -> UnsafeCheckpoint:
    """Return the error for a file that would run code or create objects; it says how to convert the file."""
    return UnsafeCheckpoint(
        f"{path} is refused: it is a pickle that wants {what}, and loading it could run any code of its author's. "
        "If you trust where it came from, convert it once, in a place where nothing can be harmed: "
        "load it with pickle.load or torch.load(..., weights_only=False), and save its weights with "
        'torch.save({"model": {name: torch.as_tensor(value) for name, value in weights.items()}}, "weights.pth").'
    )
