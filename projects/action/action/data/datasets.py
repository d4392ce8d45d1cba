"""Data sets by their specs, which are MMAction2's: "type" and arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from steploop.config import CfgNode, ConfigError
from steploop.data import datasets_root

from .annotations import (
    ClipItem,
    ClipSet,
    check_labels,
    read_class_folders,
    read_classes,
    read_csv,
    read_json,
    read_list,
)
from .synthetic import NAME, generate_actions

TYPES = (
    "VideoDataset", "RawframeDataset", "ClassFolderDataset", "CsvDataset", "SyntheticActions", "RepeatDataset",
    "ConcatDataset",
)  # fmt: skip
# Arguments of MMAction2's data sets with the only value that is supported.
_FIXED: dict[str, tuple[Any, ...]] = {
    "modality": ("RGB",),
    "test_mode": (True, False),
    "sample_by_class": (False,),
    "power": (0,),
    "dynamic_length": (False,),
}


@dataclass(frozen=True)
class ClipDataset:
    """The videos of one name in DATASETS.

    Attributes:
        items: the videos; a repeated set has them several times.
        classes: names of the labels; () where nothing names them.
        multi_class: whether a video may have several labels.
        pipeline: its own steps; () takes INPUT.TRAIN_PIPELINE or INPUT.TEST_PIPELINE.
        sets: what was read, with the lines of the items.
    """

    items: tuple[ClipItem, ...]
    classes: tuple[str, ...]
    multi_class: bool
    pipeline: tuple[Mapping[str, Any], ...]
    sets: tuple[ClipSet, ...]

    @property
    def num_classes(self) -> int:
        """Number of the named classes, or one more than the highest label."""
        return len(self.classes) or 1 + max(label for item in self.items for label in item.labels)

    def check(self, num_classes: int) -> None:
        """Refuse labels beyond `num_classes`.

        Raises:
            ConfigError: with the line of the first.
        """
        for found in self.sets:
            check_labels(found, num_classes)


def build_dataset(spec: Mapping[str, Any]) -> ClipDataset:
    """Read the data set of a spec.

    - VideoDataset: ann_file, data_prefix, multi_class, num_classes, classes (a file or names).
    - RawframeDataset: also with_offset, filename_tmpl, start_index.
    - ClassFolderDataset: data_prefix, the folder of the class folders.
    - SyntheticActions: split, "train" or "test"; rendered on first use.
    - CsvDataset: ann_file with the columns path and label, data_prefix.
    - RepeatDataset (dataset, times), ConcatDataset (datasets).

    Relative paths that are not there are looked for below $STEPLOOP_DATASETS.

    Raises:
        ConfigError: an unknown type or argument, or a wrong line in a list.
        FileNotFoundError: a list or folder is missing.
    """
    rest = dict(spec)
    kind = rest.pop("type", None)
    if kind not in TYPES:
        raise ConfigError(f"the type of a data set is one of {', '.join(TYPES)}; came {kind!r}")
    parts: list[ClipDataset] = []
    if kind == "RepeatDataset":
        inner, times = build_dataset(rest.pop("dataset")), int(rest.pop("times"))
        parts = [inner] * times
    if kind == "ConcatDataset":
        parts = [build_dataset(part) for part in rest.pop("datasets")]
    if parts:
        if rest:
            raise ConfigError(f"{kind}: unknown arguments {', '.join(rest)}")
        return join(parts)
    for key, supported in _FIXED.items():
        if rest.pop(key, supported[0]) not in supported:
            raise ConfigError(f"{key} of {kind}: only {supported[0]!r} is supported, came {spec[key]!r}")
    pipeline = tuple(rest.pop("pipeline", ()))
    multi_class, count = bool(rest.pop("multi_class", False)), rest.pop("num_classes", None)
    classes = _classes(rest.pop("classes", ()))
    found = _read(kind, rest, multi_class, classes)
    if rest:
        raise ConfigError(f"{kind}: unknown arguments {', '.join(rest)}")
    if not multi_class and any(len(item.labels) > 1 for item in found.items):
        raise ConfigError(f"{found.source} has several labels for one video: set multi_class=True")
    names = classes or found.classes
    if count and not names:
        check_labels(found, int(count))
    return ClipDataset(tuple(found.items), names, multi_class, pipeline, (found,))


def _read(kind: str, rest: dict[str, Any], multi_class: bool, classes: Sequence[str]) -> ClipSet:
    prefix = _place(rest.pop("data_prefix", None) or "")
    if kind == "SyntheticActions":
        folder = generate_actions(datasets_root() / NAME)
        names, listed = read_classes(folder / "classes.txt"), folder / f"{_split(rest.pop('split', 'train'))}.txt"
        return read_list(listed, str(folder), frames=True)._replace(classes=names)
    if kind == "ClassFolderDataset":
        return read_class_folders(prefix, classes)
    path = _place(rest.pop("ann_file"))
    if kind == "CsvDataset":
        return read_csv(path, prefix, classes)
    frames = kind == "RawframeDataset"
    template = rest.pop("filename_tmpl", "img_{:05}.jpg")
    start, with_offset = rest.pop("start_index", None), bool(rest.pop("with_offset", False))
    if str(path).endswith(".json"):
        return read_json(path, prefix, template=template, start_index=start)
    return read_list(
        path,
        prefix,
        frames=frames,
        with_offset=with_offset,
        multi_class=multi_class,
        template=template,
        start_index=start if frames else None,
    )


def _split(name: str) -> str:
    if name not in ("train", "test"):
        raise ConfigError(f"split of SyntheticActions is train or test; came {name!r}")
    return name


def _place(path: str) -> str:
    """Return a path as it is, or below the folder of data sets where it is only there."""
    if not path or Path(path).exists() or Path(path).is_absolute():
        return path
    below = datasets_root() / path
    return str(below) if below.exists() else path


def _classes(value: Any) -> tuple[str, ...]:
    return read_classes(_place(value)) if value and isinstance(value, str) else tuple(value or ())


def join(parts: Sequence[ClipDataset]) -> ClipDataset:
    """Return data sets as one.

    Raises:
        ConfigError: there is none, or they differ in their classes or pipelines.
    """
    if not parts:
        raise ConfigError("there is no data set to join")
    first = parts[0]
    kind = first.classes, first.multi_class, first.pipeline
    if any((part.classes, part.multi_class, part.pipeline) != kind for part in parts):
        raise ConfigError("data sets that are joined must have the same classes, multi_class and pipeline")
    sets = {found.source: found for part in parts for found in part.sets}
    return ClipDataset(tuple(item for part in parts for item in part.items), *kind, tuple(sets.values()))


def dataset_of(cfg: CfgNode, name: str) -> ClipDataset:
    """Return the data set of a name in DATASETS.SPECS; its files are read once.

    Raises:
        ConfigError: there is no such spec, or it is wrong.
        FileNotFoundError: a list or folder is missing.
    """
    specs = cfg.DATASETS.SPECS.to_dict()
    if name not in specs:
        raise ConfigError(f"DATASETS names {name!r}, and DATASETS.SPECS has {', '.join(specs) or 'no specs'}")
    try:
        return _cached(_frozen(specs[name]))
    except ConfigError as error:
        raise ConfigError(f"data set {name!r}: {error}") from error


@lru_cache(maxsize=16)
def _cached(spec: Any) -> ClipDataset:
    return build_dataset(_thawed(spec))


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ("dict", tuple((key, _frozen(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return ("list", tuple(_frozen(item) for item in value))
    return value


def _thawed(value: Any) -> Any:
    if isinstance(value, tuple) and value and value[0] == "dict":
        return {key: _thawed(item) for key, item in value[1]}
    if isinstance(value, tuple) and value and value[0] == "list":
        return [_thawed(item) for item in value[1]]
    return value
