"""Exports the dense part of a trained detector, with its figures compared.

    python projects/detection/export.py output/detection_quickstart detector.pt2 --size 128 192
    python projects/detection/export.py output/detection_quickstart detector.onnx --size 128 192 --format onnx

The program takes "images" (N, 3, H, W), RGB in 0..255 as float32, and returns for each anchor the scores of the classes
and four deltas; see steploop.projects.detection.export.
"""

import argparse
from pathlib import Path

from steploop.engine import clear_errors
from steploop.projects.detection.export import export_detector
from steploop.projects.detection.predictor import DetectionPredictor, load_run_config


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the output folder of a training, or its config.yaml")
    parser.add_argument("output", help="the file to write")
    parser.add_argument("--size", type=int, nargs=2, required=True, metavar=("H", "W"), help="of the images, in pixels")
    parser.add_argument("--format", choices=("export", "onnx"), default="export", help="torch.export or ONNX")
    parser.add_argument("--tolerance", type=float, default=1e-4, metavar="X", help="largest difference (default: 1e-4)")
    args = parser.parse_args()
    config = args.run if args.run.suffix == ".yaml" else args.run / "config.yaml"
    predictor = DetectionPredictor(load_run_config(config, ["MODEL.DEVICE", "cpu"]))
    height, width = args.size
    difference = export_detector(
        predictor.model, args.output, size=(height, width), file_format=args.format, tolerance=args.tolerance
    )
    print(f"{args.output}: outputs differ by at most {difference:.2g}")


if __name__ == "__main__":
    with clear_errors():
        main()
