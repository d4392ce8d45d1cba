"""Data sets by name: "<folder>/<split>", such as "nuscenes/mini_val" or "synthetic-roads/mini_train"."""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

from steploop.data import SharedRecords, datasets_root

from ..synthetic.roads import NAME as GENERATED
from ..synthetic.roads import ensure_roads
from .convert import annotation_file, convert
from .records import Record, read_records
from .splits import VERSIONS
from .tables import Tables

logger = logging.getLogger(__name__)


def locate(name: str) -> tuple[Path, str]:
    """Return the folder and the split of a data set's name.

    The folder is a path, or below $STEPLOOP_DATASETS.

    Raises:
        ValueError: the name has no known split at its end.
    """
    folder, _, split = name.rpartition("/")
    if not folder or split not in VERSIONS:
        raise ValueError(
            f"the data set {name!r} has no split: expected <folder>/<split> with one of {', '.join(VERSIONS)}, such as "
            "nuscenes/train"
        )
    path = Path(folder).expanduser()
    return (path if path.is_absolute() or path.exists() else datasets_root() / path), split


def prepare(name: str, num_sweeps: int) -> None:
    """Generate and convert what a data set of generated roads lacks; others are left as they are.

    Call it in one process before `load_split` in the others.
    """
    root, split = locate(name)
    if root.name != GENERATED:
        return
    if not root.exists():
        logger.info("Generating roads in %s", root)
        ensure_roads(root)
    if not annotation_file(root, split, num_sweeps).exists():
        convert(load_tables(name), split, num_sweeps)


@functools.lru_cache(maxsize=4)
def load_split(name: str, num_sweeps: int) -> Sequence[Record]:
    """Return the records of a data set's images, each with its "index", in one buffer that workers share.

    Raises:
        FileNotFoundError: the split is not converted.
        ValueError: the name or the file is wrong.
    """
    root, split = locate(name)
    records = read_records(annotation_file(root, split, num_sweeps), root)
    return SharedRecords({**record, "index": i} for i, record in enumerate(records))


@functools.lru_cache(maxsize=2)
def load_tables(name: str) -> Tables:
    """Return the tables of a data set, which its evaluation and its conversion need.

    Raises:
        FileNotFoundError: a table is missing.
        ValueError: the name or a table is wrong.
    """
    root, split = locate(name)
    return Tables(root, VERSIONS[split])
