"""Checkpoints: written whole or not at all, verified when read, and loaded without running code.

`checkpointer.py` is the entry point: it saves and loads. `writer.py` and `reader.py` know the file format.
"""

from .background import BackgroundTask as BackgroundTask
from .background import KeptBuffers as KeptBuffers
from .checkpointer import Checkpointer as Checkpointer
from .errors import (
    CheckpointError as CheckpointError,
)
from .errors import (
    DamagedCheckpoint as DamagedCheckpoint,
)
from .errors import (
    NoValidCheckpoint as NoValidCheckpoint,
)
from .errors import (
    UnsafeCheckpoint as UnsafeCheckpoint,
)
from .loaded_weights import LoadedWeights as LoadedWeights
from .plain import to_plain as to_plain
from .reader import read_checkpoint as read_checkpoint
from .resume import find_newest_valid as find_newest_valid
from .retention import prune as prune
from .verify import verify_file as verify_file
from .weights import (
    MINIMUM_SHARE as MINIMUM_SHARE,
)
from .weights import (
    Convert as Convert,
)
from .weights import (
    load_weights as load_weights,
)
from .weights import (
    unwrap as unwrap,
)
from .writer import write_checkpoint as write_checkpoint
