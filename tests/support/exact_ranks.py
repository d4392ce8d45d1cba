"""What the ranks of the tests of exact resume do: starting them takes longest, so they do all of it in one go."""

import json
from pathlib import Path

from exact_runs import EVALUATED, EVERYTHING, samples_by_step, train
from steploop.engine import comm

KINDS = {"evaluated": EVALUATED, "everything": EVERYTHING}
KILLS = {
    "evaluated": [("before_step", 4), ("after_step", 5), ("saved", 2)],
    "everything": [("after_backward", 7), ("saved", 8), ("after_step", 11)],
}


def train_and_resume(folder: str) -> None:
    """Train each kind without a stop, and once for each kill; go on where one process was, and begin what one ends."""
    for kind, kills in KILLS.items():
        train(Path(folder, kind), *KINDS[kind])
        for kill in kills:
            run = Path(folder, f"{kind} {kill}")
            train(run, *KINDS[kind], kill=kill)
            train(run, *KINDS[kind])
    seen = {
        "2 after 1": samples_by_step(train(Path(folder, "2 after 1"))),
        "1 after 2": samples_by_step(train(Path(folder, "1 after 2"), kill=("before_step", 7))),
    }
    if comm.is_main_process():
        Path(folder, "samples.json").write_text(json.dumps(seen))
