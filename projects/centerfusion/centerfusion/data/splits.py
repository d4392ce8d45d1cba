"""Which scenes belong to which split (the official lists of nuScenes)."""

from collections.abc import Sequence

# Split -> version of the tables.
VERSIONS = {
    "train": "v1.0-trainval",
    "val": "v1.0-trainval",
    "test": "v1.0-test",
    "mini_train": "v1.0-mini",
    "mini_val": "v1.0-mini",
}

_MINI_TRAIN = (61, 553, 655, 757, 796, 1077, 1094, 1100)
_MINI_VAL = (103, 916)
# First and last number of the runs of scenes of the validation split.
_VAL_RUNS = (
    (3, 3), (12, 18), (35, 36), (38, 39), (92, 110), (221, 221), (268, 278), (329, 332), (344, 346), (519, 524),
    (552, 565), (625, 627), (629, 630), (632, 638), (770, 771), (775, 775), (777, 778), (780, 784), (794, 800),
    (802, 802), (904, 917), (919, 931), (962, 963), (966, 969), (971, 972), (1059, 1073),
)  # fmt: skip


def _names(numbers: Sequence[int]) -> frozenset[str]:
    return frozenset(f"scene-{number:04d}" for number in numbers)


MINI_TRAIN = _names(_MINI_TRAIN)
MINI_VAL = _names(_MINI_VAL)
VAL = _names([number for first, last in _VAL_RUNS for number in range(first, last + 1)])


def is_in_split(scene: str, split: str) -> bool:
    """Return True if a scene of the tables of VERSIONS[split] belongs to the split.

    Raises:
        ValueError: there is no such split.
    """
    if split not in VERSIONS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(VERSIONS)}")
    if split == "mini_train":
        return scene in MINI_TRAIN
    if split == "mini_val":
        return scene in MINI_VAL
    if split == "val":
        return scene in VAL
    return split == "test" or scene not in VAL
