"""Finds objects in images and draws them.

    python projects/detection/predict.py output/detection_quickstart street.jpg
    python projects/detection/predict.py output/bccd folder --output drawn --score 0.5

Writes one picture for each image, and detections.json with boxes (x1, y1, x2, y2) in pixels, scores and class names.
"""

import argparse
import json
from pathlib import Path

from steploop.engine import clear_errors
from steploop.projects.detection.predictor import DetectionPredictor, load_run_config

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the output folder of a training, or its config.yaml")
    parser.add_argument("images", nargs="+", type=Path, help="images, or folders of them")
    parser.add_argument("--output", type=Path, default=Path("detections"), metavar="DIR", help="where to write")
    parser.add_argument("--score", type=float, default=0.3, metavar="X", help="draw from this score on (default: 0.3)")
    args = parser.parse_args()
    files = images_in(args.images)
    config = args.run if args.run.suffix == ".yaml" else args.run / "config.yaml"
    predictor = DetectionPredictor(load_run_config(config))
    args.output.mkdir(parents=True, exist_ok=True)
    results = {}
    for number, file in enumerate(files):
        (found,) = predictor(file)
        results[str(file)] = found._asdict()
        predictor.draw(file, found, score=args.score).save(args.output / f"{number:04d}_{file.stem}.png")
        shown = sum(score >= args.score for score in found.scores)
        print(f"{file}: {shown} objects with a score of at least {args.score:g}")
    (args.output / "detections.json").write_text(json.dumps(results, indent=1))
    print(f"Written to {args.output}")


def images_in(paths: list[Path]) -> list[Path]:
    """Return the images that are named, and those in named folders.

    Raises:
        FileNotFoundError: a path does not exist, or there is no image.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
        elif path.exists():
            files.append(path)
        else:
            raise FileNotFoundError(f"there is no image or folder {path}")
    if not files:
        raise FileNotFoundError(f"there is no image in {', '.join(map(str, paths))} ({', '.join(_SUFFIXES)})")
    return files


if __name__ == "__main__":
    with clear_errors():
        main()
