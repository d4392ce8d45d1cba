"""Checkpoints that are never half written, never half read, and run nothing."""

from .background import BackgroundTask, KeptBuffers
from .checkpointer import Checkpointer
from .durable import clean_temporary, sync_folder, write_atomically, write_text_atomically
from .errors import CheckpointError, DamagedCheckpoint, NoValidCheckpoint, UnsafeCheckpoint
from .ownership import FolderLock
from .periodic import PeriodicCheckpointer
from .plain import to_plain
from .reader import read_checkpoint
from .resume import find_newest_valid
from .retention import prune
from .verify import verify_file
from .weights import IncompatibleKeys, incompatible_table, load_weights, unwrap
from .writer import write_checkpoint

__all__ = [
    "BackgroundTask",
    "CheckpointError",
    "Checkpointer",
    "DamagedCheckpoint",
    "FolderLock",
    "IncompatibleKeys",
    "KeptBuffers",
    "NoValidCheckpoint",
    "PeriodicCheckpointer",
    "UnsafeCheckpoint",
    "clean_temporary",
    "find_newest_valid",
    "incompatible_table",
    "load_weights",
    "prune",
    "read_checkpoint",
    "sync_folder",
    "to_plain",
    "unwrap",
    "verify_file",
    "write_atomically",
    "write_checkpoint",
    "write_text_atomically",
]
