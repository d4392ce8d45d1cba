"""Saves and loads a model together with other objects that have a state."""

import contextlib
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from ..distributed.comm import is_main_process
from ..run.files import write_text_atomically
from .background import BackgroundTask, KeptBuffers
from .errors import CheckpointError
from .plain import to_plain
from .ranks import attempted_by_all, decided_by_main
from .reader import read_checkpoint
from .resume import POINTER, RESUMABLE, Found, checkpoint_files, find_newest_valid, read_pointer, resumable_files
from .weights import MINIMUM_SHARE, Convert, load_weights, unwrap
from .writer import write_checkpoint

logger = logging.getLogger(__name__)


class Checkpointer:
    """Saves and loads a model and any checkpointables, with fvcore's interface and file layout.

    A file contains {"model": state dict, key: state dict of each checkpointable, and the arguments of `save`}. It is
    plain data, becomes visible only when it is complete and durable, and is verified before it is loaded.
    `last_checkpoint` in the same folder contains the name of the file to resume from; it is written after that file is
    durable.

    Args:
        model: a wrapped model (DistributedDataParallel, torch.compile) is unwrapped.
        save_dir: the folder of the files; "" saves nothing.
        save_to_disk: True if this process writes; None: only the main rank writes.
        asynchronous: `save` returns when the state is copied, and a thread writes it.
        convert: renames the entries of another project's file to the names of the model, see `load_weights`.
        minimum_share: the share of the model's weights, in 0..1, that a file to start from must contain.
        checkpointables: objects with state_dict() and load_state_dict(), by the key under which they are saved.

    Attributes:
        before_visible: called without arguments in each save, in the thread that saves and before anything is written:
            what must be on the disk before the checkpoint is (the metrics up to it).
        after_durable: called with the path when a file and its pointer are durable, by the thread that wrote it.
        failed: names, with .pth, of the files of which the last save failed.
        resumed_from: the file from which `resume_or_load` resumed; "" if it did not resume.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str | os.PathLike[str] = "",
        *,
        save_to_disk: bool | None = None,
        asynchronous: bool = False,
        convert: Convert | None = None,
        minimum_share: float = MINIMUM_SHARE,
        **checkpointables: Any,
    ) -> None:
        self.model = unwrap(model)
        self.save_dir = os.fspath(save_dir)
        self.save_to_disk = is_main_process() if save_to_disk is None else save_to_disk
        self.asynchronous = asynchronous
        self.convert = convert
        self.minimum_share = minimum_share
        self.checkpointables: dict[str, Any] = {}
        self.before_visible: list[Callable[[], object]] = []
        self.after_durable: list[Callable[[Path], object]] = []
        self.failed: set[str] = set()
        self.resumed_from = ""
        self._buffers = KeptBuffers()
        self._task = BackgroundTask()
        for key, checkpointable in checkpointables.items():
            self.add_checkpointable(key, checkpointable)

    def add_checkpointable(self, key: str, checkpointable: Any) -> None:
        """Save and load `checkpointable` with the model, under `key`.

        Raises:
            KeyError: the key is in use.
            TypeError: the object has no state_dict() and load_state_dict().
        """
        if key in self.checkpointables or key in ("model", RESUMABLE):
            raise KeyError(f"the checkpointer already saves something under {key!r}; choose another key")
        for method in ("state_dict", "load_state_dict"):
            if not callable(getattr(checkpointable, method, None)):
                raise TypeError(f"{key} is a {type(checkpointable).__name__}, which has no {method}() to call")
        self.checkpointables[key] = checkpointable

    def save(self, name: str, *, tag_last: bool = True, **kwargs: Any) -> None:
        """Write `save_dir/name.pth`; if this process does not write, do nothing.

        Args:
            name: the file's name without `.pth`.
            tag_last: True if a run may resume from it. False for the best weights: `last_checkpoint` does not change,
                and no run resumes from the file by itself.
            kwargs: further entries of the file, such as iteration=99.

        Raises:
            TypeError, ValueError: the state is not plain data, or the name is no plain file name.
            OSError: it could not be written; older files are whole. An asynchronous save before this one that failed
                is an error in the log: it does not keep this one from being tried.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        if not name or Path(name).name != name or name.startswith("."):
            raise ValueError(f"a checkpoint's name is that of a file in {self.save_dir}, without .pth; got {name!r}")
        with contextlib.suppress(OSError):  # of another file; the thread has logged it, and `failed` holds its name
            self.wait()
        self.failed.discard(f"{name}.pth")  # before the states are asked, which may look there
        plain = to_plain(self._state(tag_last, kwargs))
        for callback in self.before_visible:
            callback()
        path = Path(self.save_dir) / f"{name}.pth"
        logger.info("Saving checkpoint to %s", path)
        if not self.asynchronous:
            self._write(path, plain, tag_last)
            return
        # Reuse the name so that the original state is freed here; freeing it after the thread has started delays that
        # thread by about 5 ms.
        plain = self._buffers.copy(plain)
        self._task.start(partial(self._write, path, plain, tag_last), f"save of {path}")

    def wait(self) -> None:
        """Wait until the last save is durable.

        Raises:
            OSError: the asynchronous save failed; raised once.
        """
        self._task.wait()

    def close(self) -> None:
        """Wait for the last save and free the memory of the copy. The checkpointer can still be used."""
        try:
            self.wait()
        finally:
            self._buffers = KeptBuffers()

    def load(self, path: str | os.PathLike[str], checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load the model, and the named checkpointables, from a file.

        Args:
            path: a `.pth` file; "" loads nothing.
            checkpointables: keys to load; None: all that were added.

        Returns:
            The other entries of the file, such as "iteration".

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: it is damaged, would run code, or has less than `minimum_share` of the model's weights (see
                `read_checkpoint` and `load_weights`).
            KeyError: a key in `checkpointables` was never added.
        """
        if not os.fspath(path):
            logger.info("No checkpoint is given: the model starts from its initial weights")
            return {}
        unknown = set(checkpointables or []) - self.checkpointables.keys()
        if unknown:
            raise KeyError(f"no checkpointable of the name {sorted(unknown)}; there are {sorted(self.checkpointables)}")
        checkpoint = attempted_by_all(partial(read_checkpoint, path))
        logger.info("Loading the weights from %s", path)
        load_weights(
            self.model,
            checkpoint.pop("model"),
            convert=self.convert,
            minimum_share=self.minimum_share,
            source=path,
        )
        return self._load_rest(path, checkpoint, checkpointables)

    def has_checkpoint(self) -> bool:
        """Return True if `save_dir` has a checkpoint, valid or not, from which a run could resume."""
        return bool(self.get_checkpoint_file())

    def get_checkpoint_file(self) -> str:
        """Return the path that `last_checkpoint` names, else the newest file from which a run could resume, else ""."""
        if not self.save_dir:
            return ""
        try:
            named = read_pointer(self.save_dir)
        except CheckpointError as error:
            logger.warning("%s", error)
            named = None
        if named is None:
            named = next(iter(resumable_files(self.save_dir)[0]), None)
        return "" if named is None else str(named)

    def get_all_checkpoint_files(self) -> list[str]:
        """Return the paths of all `.pth` files in `save_dir`, by name."""
        return [str(path) for path in checkpoint_files(self.save_dir)] if self.save_dir else []

    def resume_or_load(self, path: str | os.PathLike[str], *, resume: bool = True) -> dict[str, Any]:
        """Resume from the newest valid checkpoint in `save_dir`, or load the weights in `path`.

        With `resume`, the main rank chooses the file (see `find_newest_valid`) and all ranks load it, with every
        checkpointable. If no checkpoint was ever written, or without `resume`, only the model is loaded from `path` (""
        loads nothing). Afterwards, `resumed_from` is the file from which it resumed, or "".

        Returns:
            The other entries of the file, such as "iteration".

        Raises:
            ValueError: checkpoints exist but none is valid; or the model differs from the saved one.
        """
        self.resumed_from = ""
        if not resume or not self.save_dir:
            return self.load(path, checkpointables=[])
        self.wait()
        found: list[Found] = []

        def choose() -> str:
            found.extend(filter(None, [find_newest_valid(self.save_dir)]))
            return str(found[0].path) if found else ""

        chosen = decided_by_main(choose)
        if not chosen:
            logger.info("No checkpoint was ever written in %s: starting from step 0", self.save_dir)
            return self.load(path, checkpointables=[])
        checkpoint = attempted_by_all(lambda: found[0].checkpoint if found else read_checkpoint(chosen))
        if not load_weights(self.model, checkpoint.pop("model"), source=chosen).is_exact:
            raise ValueError(
                f"the model differs from the one in {chosen} (see the table above), so the run cannot resume. "
                "To start a new run from its weights, load it without resuming."
            )
        rest = self._load_rest(chosen, checkpoint, None)
        self.resumed_from = chosen
        logger.info("Resumed from %s, iteration %s", chosen, rest.get("iteration", "unknown"))
        return rest

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Make `last_checkpoint` name this file, atomically and durably."""
        write_text_atomically(Path(self.save_dir) / POINTER, last_filename_basename)

    def _state(self, tag_last: bool, extra: dict[str, Any]) -> dict[str, Any]:
        state = {"model": self.model.state_dict()}
        state |= {key: checkpointable.state_dict() for key, checkpointable in self.checkpointables.items()}
        clash = extra.keys() & {*state, RESUMABLE}
        if clash:
            raise ValueError(f"these names are the checkpointer's own, choose others: {sorted(clash)}")
        return state | extra | ({} if tag_last else {RESUMABLE: False})

    def _write(self, path: Path, plain: dict[str, Any], tag_last: bool) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_checkpoint(path, plain)
            if tag_last:
                self.tag_last_checkpoint(path.name)
        except BaseException:
            self.failed.add(path.name)
            raise
        for callback in self.after_durable:
            callback(path)

    def _load_rest(
        self, path: str | os.PathLike[str], checkpoint: dict[str, Any], checkpointables: list[str] | None
    ) -> dict[str, Any]:
        for key in self.checkpointables if checkpointables is None else checkpointables:
            if key in checkpoint:
                logger.info("Loading %s from %s", key, path)
                self.checkpointables[key].load_state_dict(checkpoint.pop(key))
            else:
                logger.warning("%s has no %s: its state is not changed", path, key)
        checkpoint.pop(RESUMABLE, None)
        return checkpoint
