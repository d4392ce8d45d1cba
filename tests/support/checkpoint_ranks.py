"""What spawned ranks do in the tests of checkpoints."""

import datetime
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from steploop.engine.checkpoint import Checkpointer
from steploop.engine.checkpoint import checkpointer as checkpointer_module


def resume_on_rank(rank: int, folder: str, results: str) -> None:
    """Resume on two ranks, of which the second sees no checkpoint by itself; write what each resumed from."""
    torch.set_num_threads(1)
    store = f"file://{results}/rendezvous"
    dist.init_process_group("gloo", store, datetime.timedelta(seconds=60), rank=rank, world_size=2)
    if rank == 1:
        checkpointer_module.find_newest_valid = lambda folder: None
    try:
        checkpointer = Checkpointer(nn.Linear(2, 2), folder)
        rest = checkpointer.resume_or_load("")
        checkpointer.save("model_0000009", iteration=9, rank=rank)
        lines = [checkpointer.resumed_from, str(rest["iteration"]), str(checkpointer.model.weight[0, 0].item())]
        dist.barrier()
        try:
            checkpointer.load(Path(folder) / ("model_0000009.pth" if rank == 0 else "nothing.pth"))
        except (RuntimeError, FileNotFoundError) as error:
            lines.append(type(error).__name__)
        (Path(results) / f"rank{rank}").write_text("\n".join(lines))
    finally:
        dist.destroy_process_group()
