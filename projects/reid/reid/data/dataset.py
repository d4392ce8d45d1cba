"""A re-ID data set: its three subsets, and where it comes from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from tabulate import tabulate

from steploop.config.errors import unknown
from steploop.data import DatasetCatalog, datasets_root

from .items import ReidItem
from .sources import find_source, read_subsets

_KEPT: ContextVar[dict[str, "ReidDataset"] | None] = ContextVar("kept data sets", default=None)


@dataclass
class ReidDataset:
    """Images to train on, to search for (query) and to search in (gallery).

    The identities of `train` are relabelled to 0..num_pids-1 in the order of their labels; those of the other two stay
    as they are. A data set that is only trained on, or only tested on, leaves the rest empty.

    Raises:
        TypeError: if an item is no ReidItem.
    """

    name: str
    train: Sequence[ReidItem] = field(repr=False)
    query: Sequence[ReidItem] = field(repr=False)
    gallery: Sequence[ReidItem] = field(repr=False)

    def __post_init__(self) -> None:
        for item in (*self.train, *self.query, *self.gallery):
            if not isinstance(item, ReidItem):
                raise TypeError(f"data set {self.name!r}: expected items of type ReidItem, got {item!r}")
        labels = {pid: label for label, pid in enumerate(sorted({item.pid for item in self.train}))}
        self.train = [item._replace(pid=labels[item.pid]) for item in self.train]

    @property
    def num_pids(self) -> int:
        """Number of identities to train on."""
        return len({item.pid for item in self.train})

    @property
    def num_cams(self) -> int:
        """Number of cameras to train on."""
        return len({item.camid for item in self.train})

    def require(self, *subsets: str) -> None:
        """Refuse a data set of which one of `subsets` ("train", "query", "gallery") is empty.

        Raises:
            ValueError: it names the data set and the subset.
        """
        for subset in subsets:
            if not getattr(self, subset):
                key = "DATASETS.TRAIN" if subset == "train" else "DATASETS.TEST"
                raise ValueError(f"data set {self.name!r} has no {subset} images: name another one in {key}")

    def combined(self) -> "ReidDataset":
        """Return a data set that trains on all three subsets; distractors (identity 0 or below) are left out.

        Identities to test on are others than those to train on, also where they have the same number.
        """
        tested = [item for item in (*self.query, *self.gallery) if item.pid > 0]
        first = self.num_pids
        tested = [item._replace(pid=first + item.pid) for item in dict.fromkeys(tested)]
        return ReidDataset(self.name, [*self.train, *tested], [], [])

    def statistics(self) -> str:
        """Return a table of the identities, images and cameras of each subset."""
        rows = []
        for name in ("train", "query", "gallery"):
            items = getattr(self, name)
            rows.append((name, len({i.pid for i in items}), len(items), len({i.camid for i in items})))
        return tabulate(rows, headers=["subset", "ids", "images", "cameras"], tablefmt="pipe", intfmt=",")


def get_dataset(name: str) -> ReidDataset:
    """Return the data set that is registered in DatasetCatalog as `name`, or else lies in $STEPLOOP_DATASETS/<name>.

    Without either (the folder is datasets/ if it is not set), `name` is a path. It is a folder in the Market-1501
    layout or with a subfolder for each identity (`read_folder`), or a CSV file (`read_csv`).

    Raises:
        FileNotFoundError: if there is none of them, or it is incomplete.
        ValueError: if it has no images, or does not tell their identities, cameras and subsets.
        TypeError: if the registered function returns something else.
    """
    kept = _KEPT.get()
    if kept is None:
        return _read_dataset(name)
    if name not in kept:
        kept[name] = _read_dataset(name)
    return kept[name]


@contextmanager
def each_dataset_read_once() -> Iterator[None]:
    """Let `get_dataset` return the same object for the same name inside the context, in place of reading it again.

    Building a trainer asks for a data set five times: for its table, its test loader, its evaluator, the number of
    identities and the training loader.
    """
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def _read_dataset(name: str) -> ReidDataset:
    if name in DatasetCatalog:
        dataset = DatasetCatalog.get(name)
        if not isinstance(dataset, ReidDataset):
            raise TypeError(f"data set {name!r} is registered, but as a {type(dataset).__name__}, not a ReidDataset")
        return dataset
    source = find_source(name)
    if source is None:
        raise FileNotFoundError(_explain_unknown(name))
    return ReidDataset(name, *read_subsets(source))


def get_train_dataset(names: Sequence[str], turns: int = 1, *, combine_all: bool = False) -> ReidDataset:
    """Return the data set to train on that several make together; see `merge_train` and `get_dataset`.

    Args:
        names: of the data sets.
        turns: 1, 2 or 4; see `turn_identities`.
        combine_all: train on queries and galleries too; see `ReidDataset.combined`.

    Raises:
        ValueError: if there are no names, one has no training images, or one comes twice: its identities would become
            two classes each.
    """
    if not names:
        raise ValueError("DATASETS.TRAIN is empty: name a data set, as in DATASETS.TRAIN \"('market1501',)\"")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"DATASETS.TRAIN names {', '.join(twice)} more than once: name each data set once")
    datasets = [get_dataset(name) for name in names]
    if combine_all:
        datasets = [dataset.combined() for dataset in datasets]
    for dataset in datasets:
        dataset.require("train")
    return turn_identities(datasets[0] if len(datasets) == 1 else merge_train(datasets), turns)


def turn_identities(dataset: ReidDataset, turns: int) -> ReidDataset:
    """Return a data set that also holds each training image rotated, as an image of another identity.

    Where orientation is part of what is to be told apart, as with handwriting, it multiplies the identities to learn
    from (Santoro et al., arXiv:1605.06065).

    Args:
        dataset: stays as it is.
        turns: 1 changes nothing, 2 adds half a turn, 4 adds each quarter turn.

    Raises:
        ValueError: `turns` is another number.
    """
    if turns not in (1, 2, 4):
        raise ValueError(f"INPUT.TURNS is 1, 2 or 4 identities out of each; got {turns}")
    items = [
        item._replace(pid=item.pid + turn * dataset.num_pids, turns=(item.turns + turn * 4 // turns) % 4)
        for turn in range(turns)
        for item in dataset.train
    ]
    return ReidDataset(dataset.name, items, dataset.query, dataset.gallery)


def merge_train(datasets: Sequence[ReidDataset]) -> ReidDataset:
    """Return the training subsets as one; identities and cameras of different data sets stay different."""
    items: list[ReidItem] = []
    first_pid = first_cam = 0
    for dataset in datasets:
        items += [i._replace(pid=i.pid + first_pid, camid=i.camid + first_cam) for i in dataset.train]
        first_pid += dataset.num_pids
        first_cam += 1 + max((item.camid for item in dataset.train), default=-1)
    return ReidDataset("+".join(dataset.name for dataset in datasets), items, [], [])


def _explain_unknown(name: str) -> str:
    root = datasets_root()
    # A hidden folder is a data set that is just being made.
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name[0] != ".") if root.is_dir() else []
    missing = "" if root.is_dir() else f" (the folder {root} does not exist)"
    return (
        f"{unknown('data set', name, [*folders, *DatasetCatalog.list()])}. There is no folder {root / name}{missing}, "
        "none is registered by that name, and it is no path. Set $STEPLOOP_DATASETS to the folder that holds the data "
        "sets, or give the path of a folder or a .csv file."
    )
