"""Exports a trained model as a program that needs none of this code; ``--help`` shows how."""

import argparse
import logging
from pathlib import Path

import torch

from steploop.config import CfgNode
from steploop.engine import clear_errors
from steploop.engine.cli.override_parser import OverrideParser
from steploop.modeling.export import INPUT_TYPES, require_onnx
from steploop.projects.reid.data import get_dataset
from steploop.projects.reid.export import export
from steploop.projects.reid.predictor import ReidPredictor, load_run_config

_EXAMPLES = """\
examples:
  export.py --config-file output/quickstart/config.yaml --output model.pt2
  export.py --config-file output/quickstart/config.yaml --output model.onnx --format onnx --input-type float32
  export.py --config-file x.yaml --output model.pt2 --images a.jpg b.jpg --tolerance 1e-6
  export.py --config-file x.yaml --output model.pt2 MODEL.WEIGHTS output/x/model_best.pth
The program takes "images" (B, 3, H, W), RGB in 0..255, H and W being INPUT.SIZE_TEST, and returns unit features.
"""
_NUM_IMAGES = 16


def parse_args() -> argparse.Namespace:
    """Return the arguments."""
    parser = OverrideParser(
        description=__doc__.split(";")[0] + ".", epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", default="", metavar="FILE", help="the config of the training")
    parser.add_argument("--output", required=True, metavar="FILE", help="the file to write: .pt2 or .onnx")
    parser.add_argument("--format", choices=("export", "onnx"), default="export", help="torch.export (default) or ONNX")
    parser.add_argument("--input-type", choices=INPUT_TYPES, default="uint8", help="of the pixels (default: uint8)")
    parser.add_argument("--images", nargs="+", default=[], metavar="FILE",
                        help="compare on these (default: queries of the first of DATASETS.TEST)")  # fmt: skip
    parser.add_argument("--tolerance", type=float, default=1e-5, metavar="X",
                        help="largest difference of an entry of the features (default: 1e-5)")  # fmt: skip
    return parser.parse_args()


def real_images(cfg: CfgNode, files: list[str]) -> list[str]:
    """Return the files, or else some queries of the first test set, or nothing where that is not on this machine."""
    if files or not cfg.DATASETS.TEST:
        return files
    try:
        queries = get_dataset(cfg.DATASETS.TEST[0]).query
    except FileNotFoundError as error:
        print(f"compared on random pixels only, and on no image (give some with --images): {error}")
        return []
    return [item.img_path for item in queries[:: max(1, len(queries) // _NUM_IMAGES)][:_NUM_IMAGES]]


def main(args: argparse.Namespace) -> None:
    """Export and compare."""
    if args.format == "onnx":
        require_onnx()  # before all the work
    cfg = load_run_config(args.config_file, opts=args.opts)
    predictor = ReidPredictor(cfg)
    files = real_images(cfg, args.images)
    difference = export(
        predictor,
        args.output,
        file_format=args.format,
        input_type=args.input_type,
        images=torch.stack([predictor.preprocess(file) for file in files]) if files else None,
        tolerance=args.tolerance,
    )
    print(f"largest difference from the model, on random pixels and {len(files)} images: {difference:.3g}")
    print(f"{args.output}: {Path(args.output).stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    logging.getLogger("steploop").setLevel(logging.INFO)
    with clear_errors():
        main(parse_args())
