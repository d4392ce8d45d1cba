"""Checks a data set in COCO's or VOC's format before a detector is trained on it.

    python projects/detection/check_data.py annotations/train.json:train annotations/val.json:val
    python projects/detection/check_data.py train.json:images --config-file projects/detection/configs/bccd.yaml
    python projects/detection/check_data.py --from-voc VOC2007/Annotations --write train.json

Each data set is ANNOTATIONS:FOLDER. Decodes every image; prints boxes by class and size, suspicious boxes, images that
several splits share and, with a config, how many boxes its anchors cover. Exits with 1 where there is a problem.
"""

import argparse
import sys
from pathlib import Path

from steploop.config import get_cfg
from steploop.engine import clear_errors
from steploop.projects.detection import add_detection_config
from steploop.projects.detection.check import check_files, contact_sheet
from steploop.projects.detection.data.voc import voc_to_coco, write_coco
from steploop.projects.detection.evaluation.pictures import save_picture
from steploop.projects.detection.modeling import PART_REGISTRY


def main() -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", metavar="ANNOTATIONS:FOLDER", help="a COCO file and its images")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="the classes that count (default: all)")
    parser.add_argument("--config-file", default="", metavar="FILE", help="whose anchors and image size to look at")
    parser.add_argument("--contact-sheet", type=Path, metavar="PNG", help="draw some images with their boxes")
    parser.add_argument("--from-voc", type=Path, metavar="DIR", help="convert a folder of Pascal VOC's XML files")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the COCO file to write with --from-voc")
    args = parser.parse_args()
    if args.from_voc:
        if not args.write:
            parser.error("--from-voc needs --write FILE")
        content = voc_to_coco(args.from_voc, classes=args.classes or ())
        write_coco(content, args.write)
        print(f"{len(content['images'])} images and {len(content['annotations'])} boxes written to {args.write}")
        return 0
    if not args.data:
        parser.error("name at least one ANNOTATIONS:FOLDER")
    files = [(path, folder) for path, _, folder in (item.rpartition(":") for item in args.data)]
    if not all(path for path, _ in files):
        parser.error("a data set is ANNOTATIONS:FOLDER, such as train.json:images/train")
    anchors, scale = read_anchors(args.config_file) if args.config_file else (None, None)
    report, records, classes = check_files(files, classes=args.classes, anchors=anchors, img_scale=scale)
    print(report.text)
    if args.contact_sheet:
        save_picture(contact_sheet(records, classes), args.contact_sheet)
        print(f"Contact sheet: {args.contact_sheet}")
    return 1 if report.problems else 0


def read_anchors(config_file: str) -> tuple[object, tuple[int, int] | None]:
    """Return the anchors of a config's detector, and the size that its test images are resized to."""
    cfg = get_cfg()
    add_detection_config(cfg)
    cfg.merge_from_file(config_file)
    spec = cfg.MODEL.SPEC.to_dict()
    head = spec.get("rpn_head") or spec["bbox_head"]
    scales = [step["img_scale"] for step in cfg.INPUT.TEST_PIPELINE if step.get("type") == "Resize"]
    return PART_REGISTRY.build(head["anchor_generator"]), tuple(scales[0]) if scales else None


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
