"""Looks at a converted data set before a network is trained on it.

    python projects/centerfusion/check_data.py synthetic-roads/mini_train
    python projects/centerfusion/check_data.py nuscenes/mini_val --pictures scenes/ --samples 8
    python projects/centerfusion/check_data.py nuscenes/train --config-file projects/centerfusion/configs/... --json

Counts the boxes of each class, how many of them a network learns something from, and the radar points in each; says
what is wrong. The exit status is 1 where one of it is a problem.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from steploop.config import get_cfg
from steploop.engine import clear_errors
from steploop.projects.centerfusion import add_centerfusion_config, from_config
from steploop.projects.centerfusion.data.check import check_records
from steploop.projects.centerfusion.data.datasets import load_split, prepare
from steploop.projects.centerfusion.visualization import draw_annotated, pick


def main() -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a data set as DATASETS.TRAIN names it: <folder>/<split>")
    parser.add_argument("--config-file", help="whose INPUT and RADAR keys count")
    parser.add_argument("--pictures", metavar="FOLDER", type=Path, help="draw samples in the image and from above")
    parser.add_argument("--samples", type=int, default=6, help="how many are drawn (default: 6)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    args = parser.parse_args()
    cfg = get_cfg()
    add_centerfusion_config(cfg)
    if args.config_file:
        cfg.merge_from_file(args.config_file)
    prepare(args.name, cfg.INPUT.RADAR.SWEEPS)
    records = load_split(args.name, cfg.INPUT.RADAR.SWEEPS)
    report = check_records(records, from_config.sample_options(cfg), progress)
    print(json.dumps(report.as_dict(), indent=2) if args.json else report.as_text())
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
        for index in pick(args.samples, records):
            Image.fromarray(draw_annotated(records[index])).save(args.pictures / f"sample_{index:06d}.png")
        print(f"Pictures: {args.pictures}", file=sys.stderr)
    return 0 if report.ok else 1


def progress(records: Iterable[Any]) -> Iterable[Any]:
    """Show a bar on a terminal."""
    return tqdm(records, desc="Checking", unit=" images", file=sys.stderr, disable=None)


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
