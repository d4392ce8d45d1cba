"""Exports a trained recognizer, with its scores compared.

    python projects/action/export.py output/quickstart recognizer.pt2 --size 16 52 64
    python projects/action/export.py output/quickstart recognizer.onnx --size 16 52 64 --format onnx

The program takes "clips" (N, 3, T, H, W), RGB in 0..255 as float32, and returns "scores" (N, classes) in 0..1.
"""

import argparse
from pathlib import Path

from steploop.engine import clear_errors
from steploop.projects.action.export import export_recognizer
from steploop.projects.action.predictor import ActionPredictor, load_run_config


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the output folder of a training, or its config.yaml")
    parser.add_argument("output", help="the file to write")
    parser.add_argument("--size", type=int, nargs=3, required=True, metavar=("T", "H", "W"), help="of the clips")
    parser.add_argument("--format", choices=("export", "onnx"), default="export", help="torch.export or ONNX")
    parser.add_argument("--tolerance", type=float, default=1e-5, metavar="X", help="largest difference (default: 1e-5)")
    args = parser.parse_args()
    predictor = ActionPredictor(load_run_config(args.run, ["MODEL.DEVICE", "cpu"]))
    frames, height, width = args.size
    difference = export_recognizer(
        predictor.model, args.output, size=(frames, height, width), file_format=args.format, tolerance=args.tolerance
    )
    print(f"{args.output}: scores differ by at most {difference:.2g}")


if __name__ == "__main__":
    with clear_errors():
        main()
