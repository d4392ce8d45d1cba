"""Checks whether a run could start on this machine: each check prints a line with OK, or with what to do.

    python -m steploop.engine.doctor --config-file x.yaml --script projects/reid/train_net.py

All files that the checks write are deleted. The exit status is 0 if no check failed, else 1.
"""

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace as Case

import torch

from steploop.config import CfgNode

from .. import hooks
from ..defaults.trainer import DefaultTrainer
from ..distributed import comm
from ..distributed.launch import available_cores, launch
from ..run.files import write_text_atomically
from ..run.lock import FolderLock, current_holder
from ..run.manifest import versions
from ..run.seeding import enable_determinism
from .errors import clear_errors
from .flags import shorten
from .script import config_and_trainer

STEPS, LOADER_SECONDS, GIB, PAGE = 3, 3.0, 2**30, os.sysconf("SC_PAGE_SIZE")


def _versions(case: Case) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def _device(case: Case) -> str:
    device = torch.device(case.cfg.MODEL.DEVICE)
    if device.type == "cpu" and shutil.which("nvidia-smi") and not torch.cuda.is_available():
        raise RuntimeError("NVIDIA's driver is here but torch sees no GPU: install a torch that is built for CUDA")
    torch.ones(64, 64, device=device).mm(torch.ones(64, 64, device=device)).sum().item()
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{device} computes; {available_cores()} CPU cores; GPUs: {', '.join(names) or 'none'}"


def _processes(case: Case) -> str:
    kind = "cuda" if case.cfg.MODEL.DEVICE != "cpu" and torch.cuda.device_count() > 1 else "cpu"
    start = time.perf_counter()
    launch(comm.synchronize, 2, device=kind, timeout=timedelta(seconds=20), launcher="none")
    return f"2 met over {'nccl' if kind == 'cuda' else 'gloo'} in {time.perf_counter() - start:.1f} s"


def _folder(case: Case) -> str:
    output = Path(case.cfg.OUTPUT_DIR).resolve()
    if holder := current_holder(output):
        raise RuntimeError(f"a run is going on in {output} ({holder}): wait for it, or choose another OUTPUT_DIR")
    nearest = next(folder for folder in (output, *output.parents) if folder.exists())
    case.folder = Path(tempfile.mkdtemp(dir=nearest, prefix=".doctor-"))
    with FolderLock(case.folder):
        write_text_atomically(case.folder / "trial", "text")
    return f"{nearest} can be locked and written; {shutil.disk_usage(nearest).free / GIB:.1f} GiB free"


def _trainer(case: Case) -> str | None:
    if case.build is None or case.folder is None:
        return None
    cfg = case.cfg.changed(OUTPUT_DIR=str(case.folder), SEED=max(case.cfg.SEED, 0))
    cfg.defrost()
    shorten(cfg, STEPS + 1)  # the run stops before its end, and so before an evaluation
    cfg.freeze()
    if cfg.DETERMINISTIC:
        enable_determinism()
    case.trainer = case.build(cfg)
    count = sum(parameter.numel() for parameter in case.trainer.model.parameters())
    return f"{type(case.trainer).__name__} has its data sets, and a model of {count / 1e6:.2f} M parameters"


def _loader(case: Case) -> str | None:
    if case.trainer is None:
        return None
    times = [time.perf_counter()]
    while len(times) < 3 or (len(times) < 100 and times[-1] - times[1] < LOADER_SECONDS):
        case.trainer.next_batch()
        times.append(time.perf_counter())
    case.trainer.release_data_loader()
    pace, workers = (len(times) - 2) / (times[-1] - times[1]), case.cfg.DATALOADER.NUM_WORKERS
    return f"{pace:.1f} batches/s with {workers} workers, the first after {times[1] - times[0]:.2f} s"


def _step(case: Case) -> str | None:
    if case.trainer is None or case.folder is None:
        return None
    stop = hooks.CallbackHook(after_step=lambda t: t.iter + 1 == STEPS and t.request_stop("seen enough"))
    case.trainer.register_hooks([stop])
    case.trainer.train()
    size = max(path.stat().st_size for path in case.folder.glob("*.pth"))
    if shutil.disk_usage(case.folder).free < 3 * size:
        raise OSError(f"a checkpoint has {size / GIB:.2f} GiB, and the disk has no space for 3: free some")
    seconds, waits = (case.trainer.storage.history(name).latest() for name in ("time", "data_time"))
    slow = f"; {waits / seconds:.0%} of it for the loader: raise DATALOADER.NUM_WORKERS" if waits > seconds / 3 else ""
    return f"forward and backward in {seconds:.3f} s{slow}; {size / 2**20:.1f} MiB for a checkpoint"


def _memory(case: Case) -> str:
    used, total = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, os.sysconf("SC_PHYS_PAGES") * PAGE
    if torch.cuda.is_available() and torch.cuda.max_memory_reserved():
        used, total = torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(0).total_memory
    if used > 0.9 * total:
        raise MemoryError(f"{used / GIB:.1f} of {total / GIB:.1f} GiB are in use: lower SOLVER.IMS_PER_BATCH")
    return f"{used / GIB:.1f} of {total / GIB:.1f} GiB at the most"


CHECKS = (_versions, _device, _processes, _folder, _trainer, _loader, _step, _memory)


def examine(cfg: CfgNode, build: type[DefaultTrainer] | None = None) -> int:
    """Run all checks of a config, and with `build` also those of its trainer; return the number of failed checks."""
    # The state that checks share: the config, and the folder and the trainer that earlier checks create for later ones.
    case, failed = Case(cfg=cfg, build=build, folder=None, trainer=None), 0
    lacks = "there is no trainer" + ("" if build else ": give the training script, as in --script train_net.py")
    try:
        for check in CHECKS:
            try:
                text = check(case)
                verdict = "skipped" if text is None else "OK"
            except Exception as error:  # of any type: the run would fail with it too
                verdict, text, failed = "FAILED", f"{type(error).__name__}: {error}", failed + 1
            print(f"{verdict:9}{check.__name__[1:]:11}{lacks if text is None else text}", flush=True)
    finally:
        if case.folder is not None:
            shutil.rmtree(case.folder)
    return failed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks for a command line; return the exit status."""
    cfg, build = config_and_trainer(argv)
    try:
        return 1 if examine(cfg, build) else 0
    except (KeyboardInterrupt, SystemExit):  # a trainer that is interrupted leaves with a code
        print("interrupted")
        return 130


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
