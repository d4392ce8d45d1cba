"""What a search found, as a table and as a picture."""

from collections.abc import Mapping
from pathlib import Path

from tabulate import tabulate

from steploop.engine.run.files import write_atomically

from .search import Match
from .visualization import RankedImage, RankedQuery, draw_rank_list


def format_matches(matches: Mapping[Path, list[Match]], folder: str | Path) -> str:
    """Return a table of rank, distance and file for each query; files as paths below `folder`."""
    root = Path(folder).resolve()
    tables = []
    for query, found in matches.items():
        rows = [[rank, match.distance, match.path.relative_to(root)] for rank, match in enumerate(found, 1)]
        table = tabulate(rows, headers=["rank", "distance", "file"], tablefmt="simple_outline", floatfmt=".4f")
        tables.append(f"{query}\n{table}")
    return "\n\n".join(tables)


def draw_matches(matches: Mapping[Path, list[Match]], path: str | Path, *, folder: str | Path, size: int) -> None:
    """Write the picture of ranked images, as PNG; it appears whole or not at all.

    Args:
        matches: what `search` returned.
        path: the PNG; its folder is made if it is missing.
        folder: where the images were looked for, for the title.
        size: how many images there are.

    Raises:
        ValueError: `path` is no .png, or below `folder`, where the next search would find it.
    """
    check_picture(path, folder)
    rows = []
    for query, found in matches.items():
        ranking = [RankedImage(str(match.path), None, None, match.distance) for match in found]
        rows.append(RankedQuery(str(query), f"query\n{query.name}", ranking))
    picture = draw_rank_list(rows, title=str(folder), subtitle=f"cosine distance; {size:,} images")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: picture.save(file, format="PNG", optimize=True))


def check_picture(path: str | Path, folder: str | Path) -> None:
    """Raise ValueError if `draw_matches` would, before all the work."""
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"the picture is a .png, got {path}")
    if Path(path).resolve().is_relative_to(Path(folder).resolve()):
        raise ValueError(f"{path} is in the folder that is searched, and would be found: write the picture elsewhere")
