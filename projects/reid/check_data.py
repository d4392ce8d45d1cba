"""Checks a data set before a network is trained on it.

    python projects/reid/check_data.py market1501
    python projects/reid/check_data.py /data/my_folder --contact-sheet sheet.png
    python projects/reid/check_data.py my_data.csv --json

Reads every label and decodes every image. Prints identities, images and sizes of each subset and camera, then what was
found, with what to do; the exit status is 1 where one of it is a problem.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from steploop.engine import clear_errors
from steploop.projects.reid.contact_sheet import write_contact_sheet
from steploop.projects.reid.data.check import check_dataset


def main() -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a data set as DATASETS.TRAIN names it: a name, a folder or a CSV file")
    parser.add_argument("--contact-sheet", metavar="PNG", type=Path, help="draw some identities with their images")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    args = parser.parse_args()
    report = check_dataset(args.name, progress)
    print(json.dumps(report.as_dict(), indent=2) if args.json else report.as_text())
    if args.contact_sheet:
        write_contact_sheet(report, args.contact_sheet)
        print(f"Contact sheet: {args.contact_sheet}", file=sys.stderr)
    return 0 if report.ok else 1


def progress(paths: Sequence[str]) -> Iterable[str]:
    """Show a bar on a terminal while the images are decoded."""
    return tqdm(paths, desc="Decoding", unit=" images", file=sys.stderr, disable=None)


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
