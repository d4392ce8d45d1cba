"""Decodes every video of a config's data sets once, before anything is trained.

    python projects/action/check_data.py --config-file projects/action/configs/motion8.yaml

Prints frames, rates and sizes, videos that are broken, the videos of each class and split, and videos that are in more
than one split. --write-broken writes the broken ones into a file. Exits with 1 where there is a problem.
"""

import argparse
import sys
from pathlib import Path

from steploop.config import get_cfg, load_python_config
from steploop.engine import clear_errors
from steploop.projects.action import action_from_mm, add_action_config
from steploop.projects.action.check import check_sets
from steploop.projects.action.data.datasets import dataset_of
from steploop.projects.action.loaders import pipeline_of


def main() -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, metavar="FILE", help="a config of ours or of MMAction2 0.x")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for one video (default: 60)")
    parser.add_argument("--write-broken", type=Path, metavar="FILE", help="write path and reason of broken videos")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="settings that override the config file")
    args = parser.parse_args()
    cfg = get_cfg()
    add_action_config(cfg)
    if args.config_file.endswith(".py"):
        cfg.merge_from_other_cfg(action_from_mm(load_python_config(args.config_file)))
    else:
        cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    names = dict.fromkeys([*cfg.DATASETS.TRAIN, *cfg.DATASETS.VAL, *cfg.DATASETS.TEST])
    sets = {name: dataset_of(cfg, name) for name in names}
    sampler = pipeline_of(cfg, sets[cfg.DATASETS.TRAIN[0]], training=True).sampler
    span = sampler.clip_len * getattr(sampler, "frame_interval", 1)
    report = check_sets(sets, clip_span=span, timeout=args.timeout)
    print(report.text)
    if args.write_broken:
        args.write_broken.write_text("".join(f"{path}\t{reason}\n" for path, reason in report.broken.items()))
    return 1 if report.problems else 0


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
