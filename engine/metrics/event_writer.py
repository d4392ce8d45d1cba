"""What a writer of metrics looks like."""

from typing import Any


class EventWriter:
    """Takes metrics from the current EventStorage to somewhere: a console, a file, a server.

    `write` is called every period; `flush` when a checkpoint is about to become visible, so that
    the metrics of a step are never behind its weights; `close` once at the end. A writer that remembers
    what it wrote returns it from `state_dict`.
    """

    def write(self) -> None:
        """Write what is new in `get_event_storage()`."""
        raise NotImplementedError

    def flush(self) -> None:
        """Make what was written survive a crash of this process and of the machine."""

    def close(self) -> None:
        """Write nothing more; release files and threads."""

    def state_dict(self) -> dict[str, Any]:
        """Return what must be known to go on after a restart; plain data."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
