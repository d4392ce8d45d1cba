"""Re-ID in several processes, for tests."""

import json
from pathlib import Path

import torch

from steploop.config import CfgNode
from steploop.engine import comm
from steploop.projects.reid.trainer import ReidTrainer, with_training_set


def save_evaluation(path: str, cfg: CfgNode) -> None:
    """Evaluate a network with random weights, and leave the figures of the main process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cfg = with_training_set(cfg)
    results = ReidTrainer.test(cfg, ReidTrainer.build_model(cfg))
    if comm.is_main_process():
        Path(path).write_text(json.dumps(results))
