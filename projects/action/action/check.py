"""Looks at data sets before anything is trained: decodes each file once."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from steploop.data.video import FrameFolder, VideoError, VideoTimeout, index_video, read_frames, time_limit

from .data.annotations import ClipItem
from .data.datasets import ClipDataset

# Frames that are decoded at a time: a long video is not held in memory.
_PIECE = 256
_SHOWN = 20


class VideoFacts(NamedTuple):
    """What was found of one video.

    Attributes:
        frames: that can be decoded.
        rate: frames per second; 0 where it is not known.
        size: (width, height).
        fingerprint: equal for videos of equal content, as far as three small frames tell.
        error: what is wrong; "" if nothing is.
    """

    frames: int = 0
    rate: float = 0.0
    size: tuple[int, int] = (0, 0)
    fingerprint: str = ""
    error: str = ""


class CheckReport(NamedTuple):
    """The result of a check.

    Attributes:
        text: for a person.
        broken: path and reason of each video that cannot be read whole.
        problems: number of findings that need somebody's attention.
    """

    text: str
    broken: dict[str, str]
    problems: int


def look_at(item: ClipItem, *, timeout: float = 0.0) -> VideoFacts:
    """Decode all frames of a video, and return what it is like."""
    try:
        with time_limit(timeout, item.path):
            return _folder_facts(item) if item.is_folder else _file_facts(item)
    except (VideoError, FileNotFoundError, VideoTimeout) as error:
        return VideoFacts(error=str(error))


def _file_facts(item: ClipItem) -> VideoFacts:
    index = index_video(item.path)
    frames, total, error = [], index.num_frames, ""
    for start in range(0, total, _PIECE):
        numbers = range(start, min(start + _PIECE, total))
        try:
            piece = read_frames(item.path, numbers, index=index, short_side=16)
        except VideoError as problem:
            error = error or str(problem)
            continue
        frames += [piece[0], piece[-1]]
    return VideoFacts(total, index.rate, (index.width, index.height), _fingerprint(frames, total), error)


def _folder_facts(item: ClipItem) -> VideoFacts:
    folder = FrameFolder(item.path, item.template)
    first, count = folder.span()
    start = item.first_frame if item.first_frame >= 0 else first
    wanted = item.num_frames or count
    if start < first or start + wanted > first + count:
        has = f"{first} to {first + count - 1}"
        raise VideoError(f"folder {item.path} has the frames {has}, the list says {start} to {start + wanted - 1}")
    frames = [folder.read([number], short_side=16)[0] for number in range(start, start + wanted)]
    size = folder.read([start]).shape[2:0:-1]
    return VideoFacts(wanted, 0.0, (int(size[0]), int(size[1])), _fingerprint([frames[0], frames[-1]], wanted))


def _fingerprint(frames: Sequence[np.ndarray], total: int) -> str:
    if not frames:
        return ""
    return f"{total}:" + b"".join((frame // 32).tobytes() for frame in (frames[0], frames[-1])).hex()


def check_sets(sets: Mapping[str, ClipDataset], *, clip_span: int = 0, timeout: float = 60.0) -> CheckReport:
    """Decode every video of some data sets, and report.

    Args:
        sets: by name ("train", "test").
        clip_span: frames that a clip covers; shorter videos are counted.
        timeout: seconds that a video may take; 0 sets no limit.
    """
    facts = {name: {item.path: look_at(item, timeout=timeout) for item in dict.fromkeys(found.items)}
             for name, found in sets.items()}  # fmt: skip
    lines: list[str] = []
    broken: dict[str, str] = {}
    problems = 0
    for name, found in sets.items():
        lines.append(_summary(name, found, facts[name], clip_span))
        broken |= {path: fact.error for path, fact in facts[name].items() if fact.error}
    if broken:
        rows = [f"  {reason}" for reason in list(broken.values())[:_SHOWN]]
        lines.append(f"{len(broken)} videos cannot be read whole:\n" + "\n".join(rows))
        problems += len(broken)
    missing = _missing_classes(sets)
    if missing:
        lines.append("Classes without a video:\n" + "\n".join(f"  {line}" for line in missing))
        problems += len(missing)
    doubles = _duplicates(facts)
    if doubles:
        lines.append(
            f"{len(doubles)} videos are in several splits:\n" + "\n".join(f"  {line}" for line in doubles[:_SHOWN])
        )
        problems += len(doubles)
    lines.append("No problem was found." if not problems else f"{problems} problems were found.")
    return CheckReport("\n\n".join(lines), broken, problems)


def _summary(name: str, found: ClipDataset, facts: Mapping[str, VideoFacts], clip_span: int) -> str:
    whole = [fact for fact in facts.values() if not fact.error]
    lengths = [fact.frames for fact in whole]
    rates = Counter(round(fact.rate, 2) for fact in whole)
    sizes = Counter(fact.size for fact in whole)
    rows = [["videos", len(found.items)], ["classes", found.num_classes]]
    if whole:
        rows.append(["frames", f"{min(lengths)} to {max(lengths)}, half of them below {int(np.median(lengths)) + 1}"])
        rows.append(["frames a second", ", ".join(f"{rate:g} ({count})" for rate, count in rates.most_common(4))])
        rows.append(["size", ", ".join(f"{w}x{h} ({count})" for (w, h), count in sizes.most_common(4))])
    if clip_span:
        short = sum(length < clip_span for length in lengths)
        rows.append([f"shorter than a clip of {clip_span} frames", short])
    counts = Counter(label for item in found.items for label in item.labels)
    names = [*found.classes, *(f"class {label}" for label in range(len(found.classes), found.num_classes))]
    table = tabulate([[names[label], counts[label]] for label in range(found.num_classes)], tablefmt="plain")
    return f"{name}\n{tabulate(rows, tablefmt='plain')}\n\n{table}"


def _missing_classes(sets: Mapping[str, ClipDataset]) -> list[str]:
    lines = []
    for name, found in sets.items():
        there = {label for item in found.items for label in item.labels}
        absent = [label for label in range(found.num_classes) if label not in there]
        names = [found.classes[label] if label < len(found.classes) else str(label) for label in absent]
        lines += [f"{name}: {label}" for label in names]
    return lines


def _duplicates(facts: Mapping[str, Mapping[str, VideoFacts]]) -> list[str]:
    """Return what is in more than one split, by path or by content."""
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for name, files in facts.items():
        for path, fact in files.items():
            key = fact.fingerprint or str(Path(path).absolute())
            places[key].setdefault(name, path)
    return [
        " = ".join(f"{name}: {path}" for name, path in found.items()) for found in places.values() if len(found) > 1
    ]
