"""Errors of checkpoint files. All are ValueErrors, so that a caller can catch them without importing this module."""


class CheckpointError(ValueError):
    """A file that cannot be used as a checkpoint; the message says why and what to do."""


class DamagedCheckpoint(CheckpointError):
    """A file that is truncated, or whose bits have changed since it was written."""


class UnsafeCheckpoint(CheckpointError):
    """A file that would call arbitrary functions when it is loaded."""


class NoValidCheckpoint(CheckpointError):
    """A folder with checkpoints, none of which can be used."""
