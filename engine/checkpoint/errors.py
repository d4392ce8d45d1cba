"""What can be wrong with a checkpoint file; all are ValueErrors, to be caught without importing this."""


class CheckpointError(ValueError):
    """A file that cannot be used as a checkpoint; the message says why and what to do."""


class DamagedCheckpoint(CheckpointError):
    """A file that was cut short or whose bits changed since it was written."""


class UnsafeCheckpoint(CheckpointError):
    """A file that would call functions of its own choice when it is loaded."""


class NoValidCheckpoint(CheckpointError):
    """A folder that holds checkpoints, none of which can be used."""
