"""Converts a data set in nuScenes' layout for training: once for each split.

    python projects/centerfusion/convert.py /data/nuscenes --version v1.0-mini
    python projects/centerfusion/convert.py /data/nuscenes --version v1.0-trainval --sweeps 3
    python projects/centerfusion/convert.py /data/nuscenes --split val

Writes annotations_<n>sweeps/<split>.json and the radar points beside it. Only the tables of one version are needed.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from steploop.engine import clear_errors
from steploop.projects.centerfusion.data.convert import convert
from steploop.projects.centerfusion.data.splits import VERSIONS
from steploop.projects.centerfusion.data.tables import Tables


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the folder that holds the folder of the version, samples/ and sweeps/")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--version", choices=sorted(set(VERSIONS.values())), help="convert all splits of this version")
    group.add_argument("--split", choices=list(VERSIONS), help="convert this split only")
    parser.add_argument("--sweeps", type=int, default=3, help="radar sweeps of each image (default: 3)")
    args = parser.parse_args()
    version = VERSIONS[args.split] if args.split else args.version or "v1.0-mini"
    splits = [args.split] if args.split else [split for split, of in VERSIONS.items() if of == version]
    tables = Tables(args.root, version)
    for split in splits:
        print(convert(tables, split, args.sweeps, progress))


def progress(scenes: Iterable[Any]) -> Iterable[Any]:
    """Show a bar on a terminal."""
    return tqdm(scenes, desc="Scenes", file=sys.stderr, disable=None)


if __name__ == "__main__":
    with clear_errors():
        main()
