"""Writes smaller copies of videos, which are read faster: a short side of 256, a keyframe each 16 frames.

    python projects/action/shrink.py videos small
    python projects/action/shrink.py videos small --short-side 128 --keyframes 8 --workers 4

The folders below the first one are kept, so that lists of videos fit the copies, but for the suffix, which is .mp4 now.
What is there already is left out. Exits with 1 where a video cannot be read; the others are written.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from steploop.data.video import VideoError, shrink_video
from steploop.engine import clear_errors
from steploop.projects.action.data.annotations import VIDEO_SUFFIXES


def main() -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a folder of videos")
    parser.add_argument("target", type=Path, help="the folder to write")
    parser.add_argument("--short-side", type=int, default=256, metavar="N", help="pixels (default: 256)")
    parser.add_argument("--keyframes", type=int, default=16, metavar="N", help="frames between two (default: 16)")
    parser.add_argument("--quality", type=int, default=23, metavar="N", help="0, lossless, to 51 (default: 23)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    args = parser.parse_args()
    if not args.source.is_dir():
        raise FileNotFoundError(f"there is no folder {args.source}")
    files = sorted(path for path in args.source.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not files:
        raise FileNotFoundError(f"there is no video in {args.source}")
    work = partial(
        copy, source=args.source, target=args.target, short_side=args.short_side, keyframes=args.keyframes,
        quality=args.quality,
    )  # fmt: skip
    with ProcessPoolExecutor(args.workers) as pool:
        results = list(pool.map(work, files))
    failed = [reason for reason in results if reason]
    before = sum(path.stat().st_size for path in files)
    after = sum(path.stat().st_size for path in args.target.rglob("*.mp4"))
    print(
        f"{len(files) - len(failed)} of {len(files)} videos, {before / 2**20:.1f} MiB, are {after / 2**20:.1f} MiB now"
    )
    for reason in failed:
        print(f"Left out: {reason}", file=sys.stderr)
    return 1 if failed else 0


def copy(path: Path, *, source: Path, target: Path, short_side: int, keyframes: int, quality: int) -> str:
    """Write the copy of one video; return why it could not be, "" if it could."""
    place = (target / path.relative_to(source)).with_suffix(".mp4")
    if place.exists():
        return ""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        shrink_video(path, place, short_side=short_side, keyframes=keyframes, quality=quality)
    except VideoError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
