"""What a finished re-ID run leaves, without training it."""

from pathlib import Path

import torch

from steploop.config import CfgNode
from steploop.engine import Checkpointer
from steploop.projects.reid.trainer import ReidTrainer
from tiny_reid import tiny_reid_cfg

NUM_IDENTITIES = 4


def write_run(folder: Path, *, seed: int = 0, average: bool = False, **overrides: object) -> CfgNode:
    """Write config.yaml, with NUM_CLASSES left open as a run does, and model_final.pth; return the config with both.

    Args:
        folder: made if it is missing.
        seed: of the weights.
        average: also store averaged weights (EMA): those of the next seed, with the buffers of this one.
        overrides: of the config, "__" in a name standing for a dot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cfg = tiny_reid_cfg(folder, **overrides)
    (folder / "config.yaml").write_text(cfg.dump())
    cfg.defrost()
    cfg.MODEL.WEIGHTS = str(folder / "model_final.pth")
    known = cfg.clone()
    cfg.freeze()
    known.MODEL.HEADS.NUM_CLASSES = NUM_IDENTITIES
    model = _model(known, seed)
    averaged = {**_model(known, seed + 1).state_dict(), **dict(model.named_buffers())}
    rest = {"trainer": {"hooks": {"EMA": {name: averaged[name] for name in model.state_dict()}}}} if average else {}
    Checkpointer(model, str(folder)).save("model_final", iteration=3, **rest)
    return cfg


def _model(cfg: CfgNode, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = ReidTrainer.build_model(cfg)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1)
    return model
