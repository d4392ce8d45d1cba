"""CenterFusion in several processes, for tests."""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from steploop.engine import HookBase, comm
from steploop.engine.run.folder import start_run
from steploop.projects.centerfusion.modeling.losses import DetectionLoss
from steploop.projects.centerfusion.trainer import CenterFusionTrainer
from tiny_centerfusion import tiny_centerfusion_cfg


class KilledError(Exception):
    """Ends a run."""


class _Kill(HookBase):
    def before_step(self):
        if self.trainer.iter == 4:
            raise KilledError


def _trainer(folder, root, **overrides):
    cfg = tiny_centerfusion_cfg(
        folder,
        root,
        SOLVER__MAX_ITER=6,
        SOLVER__CHECKPOINT_PERIOD=2,
        SOLVER__STEPS=(5,),
        TEST__EVAL_PERIOD=5,
        DATALOADER__NUM_WORKERS=1,
        **overrides,
    )
    if comm.is_main_process() and not Path(folder).exists():
        start_run(Path(folder))
    comm.synchronize()
    torch.manual_seed(0)
    return CenterFusionTrainer(cfg)


def train_and_resume(folder: str, root: str) -> None:
    """Train without a stop, and once killed and resumed; evaluate what the first run left."""
    torch.set_num_threads(1)
    straight = _trainer(Path(folder, "straight"), root)
    results = straight.train()
    killed = _trainer(Path(folder, "killed"), root)
    killed.register_hooks([_Kill()])
    try:
        killed.train()
    except KilledError:
        pass
    else:
        raise AssertionError("the run was not killed")
    resumed = _trainer(Path(folder, "killed"), root)
    resumed.resume_or_load()
    assert resumed.start_iter == 4
    resumed.train()
    later = _trainer(Path(folder, "later"), root, MODEL__WEIGHTS=str(Path(folder, "straight", "model_final.pth")))
    later.resume_or_load(resume=False)
    again = later.evaluate()
    if comm.is_main_process():
        Path(folder, "results.json").write_text(json.dumps([results, again]))


class OutputMaps(nn.Module):
    """Output maps as parameters: the losses of a model in which nothing depends on other images."""

    def __init__(self, outputs: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.maps = nn.ParameterDict({name: value[:1].clone() for name, value in outputs.items()})

    def forward(self, batch):
        count = len(batch["hm"])
        return {name: value.expand(count, -1, -1, -1) for name, value in self.maps.items()}


def gradients(path: str, batch: dict, outputs: dict, shares: list) -> None:
    """Save the gradients of a training step of which each rank has its share of the images."""
    model = OutputMaps(outputs)
    wrapped = DistributedDataParallel(model) if comm.get_world_size() > 1 else model
    own = {name: value[shares[comm.get_rank()]] for name, value in batch.items()}
    losses = DetectionLoss({"wh": 0.1})(wrapped(own), own)
    sum(losses.values()).backward()
    if comm.is_main_process():
        torch.save({name: value.grad for name, value in model.maps.items()}, path)
