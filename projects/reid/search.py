"""Finds the images of a folder that look most like a query; ``--help`` shows how."""

import argparse
import logging

from steploop.engine import clear_errors
from steploop.engine.cli.override_parser import OverrideParser
from steploop.projects.reid.predictor import ReidPredictor, load_run_config
from steploop.projects.reid.search import embed_queries, open_index, search
from steploop.projects.reid.search_result import check_picture, draw_matches, format_matches

_EXAMPLES = """\
examples (the newest run below output/ is used unless --config-file or --weights name another):
  search.py --query q.jpg --gallery folder/
  search.py --query a.jpg b.jpg --gallery folder/ --top 5 --output found.png
  search.py --query q.jpg --gallery folder/ --index folder.index    # keeps the features for the next search
  search.py --query q.jpg --gallery folder/ --weights output/x/model_final.pth MODEL.DEVICE cpu
"""


def parse_args() -> argparse.Namespace:
    """Return the arguments."""
    parser = OverrideParser(
        description=__doc__.split(";")[0] + ".", epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--query", nargs="+", required=True, metavar="IMAGE", help="the images to look for")
    parser.add_argument("--gallery", required=True, metavar="FOLDER", help="where to look, with all folders below")
    parser.add_argument("--config-file", default="", metavar="FILE", help="the config of the training")
    parser.add_argument("--weights", default="", metavar="FILE", help="a checkpoint (default: the config's last one)")
    parser.add_argument("--top", type=int, default=10, metavar="K", help="images for each query (default: 10)")
    parser.add_argument("--output", default="ranked.png", metavar="PNG", help="the picture (default: ranked.png)")
    parser.add_argument("--index", default="", metavar="FILE", help="keep the features here, and reuse them")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Search, print the table and write the picture."""
    check_picture(args.output, args.gallery)
    predictor = ReidPredictor(load_run_config(args.config_file, args.weights, args.opts))
    queries = embed_queries(predictor, args.query)
    index = open_index(args.gallery, predictor, args.index)
    matches = search(index, queries, args.top)
    print(format_matches(matches, args.gallery))
    draw_matches(matches, args.output, folder=args.gallery, size=len(index.gallery))
    print(f"picture: {args.output}")


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    logging.getLogger("steploop").setLevel(logging.INFO)
    with clear_errors():
        main(parse_args())
