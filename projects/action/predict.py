"""Recognises actions in videos over time.

    python projects/action/predict.py output/quickstart datasets/synthetic-actions/test/running_000
    python projects/action/predict.py output/motion8 video.mp4 --windows 16 --output recognised

Prints the best classes of each video, and writes a picture (scores over time and clips) and actions.json.
"""

import argparse
import json
from pathlib import Path

from PIL import Image

from steploop.engine import clear_errors
from steploop.projects.action.predictor import ActionPredictor, load_run_config


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the output folder of a training, or its config.yaml")
    parser.add_argument("videos", nargs="+", type=Path, help="video files, or folders of frames (img_00001.jpg, ...)")
    parser.add_argument("--output", type=Path, default=Path("actions"), metavar="DIR", help="where to write")
    parser.add_argument("--windows", type=int, default=8, metavar="N", help="clips to look at (default: 8)")
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes to print (default: 5)")
    args = parser.parse_args()
    predictor = ActionPredictor(load_run_config(args.run))
    args.output.mkdir(parents=True, exist_ok=True)
    results = {}
    for number, video in enumerate(args.videos):
        found = predictor.recognise(video, windows=args.windows, top=args.top)
        print(f"{video}: " + ", ".join(f"{name} {score:.2f}" for name, score in zip(found.names, found.scores)))
        for window in found.windows:
            best = ", ".join(f"{name} {score:.2f}" for name, score in zip(window.names, window.scores))
            print(f"  {window.start:7.2f} - {window.end:7.2f}  {best}")
        Image.fromarray(found.picture).save(args.output / f"{number:04d}_{video.stem}.png")
        windows = [window._asdict() for window in found.windows]
        results[str(video)] = {"names": found.names, "scores": found.scores, "windows": windows}
    (args.output / "actions.json").write_text(json.dumps(results, indent=1))
    print(f"Written to {args.output}")


if __name__ == "__main__":
    with clear_errors():
        main()
