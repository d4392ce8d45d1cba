"""Trains a few steps with a tracker, in a process of its own: trackers leave processes and threads behind.

python tracker_run.py FOLDER WRITER MAX_ITER [--resume]
"""

import sys

import torch

from steploop.engine import CallbackHook
from tiny_project import TinyTrainer, tiny_cfg


def main(folder: str, writer: str, max_iter: str, *resume: str) -> None:
    """Train; a picture is put at every third step."""

    def put(trainer):
        if trainer.iter % 3 == 0:
            trainer.storage.put_image("a/picture", torch.rand(3, 8, 9))

    trainer = TinyTrainer(tiny_cfg(folder, "WRITERS", f"('csv', '{writer}')", "SOLVER.MAX_ITER", max_iter))
    trainer.register_hooks([CallbackHook(after_step=put)])
    trainer.resume_or_load(resume=bool(resume))
    trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
