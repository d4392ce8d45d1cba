"""Between two readings of the metrics, the loop never waits for the device."""

import contextlib
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from steploop.engine import HookBase
from steploop.engine.metrics.pending import PendingTensors
from tiny import TinyModel
from tiny_project import TinyTrainer, tiny_cfg

PERIOD = 6
READINGS = {PERIOD - 1, 2 * PERIOD - 1}
# Operations whose result the host needs before it can go on.
aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense.default,  # item(), float(), bool(), int(), also from inside torch
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten._unique2.default,
}
# What reads memory without an operation.
READERS = ("tolist", "numpy", "cpu", "__array__")

PLAIN = ()
FULL = ("SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.EMA.ENABLED", True)
CLIPPED_BY_VALUE = ("SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "value")
BFLOAT16 = ("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "bfloat16")
FLOAT16_FUSED = (
    *("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "float16"),
    *("SOLVER.OPT", "Adam", "SOLVER.OPT_ARGS.fused", True),
)


class ManyTrainer(TinyTrainer):
    """A model with three losses and two metrics."""

    @classmethod
    def build_model(cls, cfg):
        return TinyModel(("loss_a", "loss_b", "loss_c"), ("accuracy", "margin")).to(cfg.MODEL.DEVICE)


def trainer_of(tmp_path, *overrides):
    torch.manual_seed(0)
    cfg = tiny_cfg(
        tmp_path / "run",
        *("LOG_PERIOD", PERIOD, "SOLVER.MAX_ITER", 2 * PERIOD, "SOLVER.CHECKPOINT_PERIOD", 0),
        *overrides,
    )
    cfg.freeze()
    return ManyTrainer(cfg)


def _looks_up_a_mask(function, args):
    """Whether ``x[mask]`` is read or written: how many elements that are, only the mask knows."""
    indexes = (aten.index.Tensor, aten.index_put_.default)
    return function in indexes and any(index is not None and index.dtype == torch.bool for index in args[1])


class Counting(TorchDispatchMode):
    """Counts by step what would wait for a device."""

    def __init__(self, trainer):
        super().__init__()
        self.trainer = trainer
        self.counts: Counter[int] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in WAITING or _looks_up_a_mask(function, args):
            self.counts[self.trainer.iter] += 1
        return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def counted(trainer, monkeypatch):
    """Yield the counts; every tensor says that it is on a device, so that none is read early."""
    counting = Counting(trainer)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "is_cpu", property(lambda tensor: False), raising=False)
        for name in READERS:
            patch.setattr(torch.Tensor, name, noticed(getattr(torch.Tensor, name), counting))
        with counting:
            yield counting.counts


def noticed(method, counting):
    def call(*args, **kwargs):
        counting.counts[counting.trainer.iter] += 1
        return method(*args, **kwargs)

    return call


class Reads(HookBase):
    """What a hook must not do."""

    def __init__(self, read):
        self.read = read

    def after_backward(self):
        self.read(self.trainer.model.layer.weight.detach())


@pytest.mark.parametrize(
    "overrides",
    [PLAIN, FULL, CLIPPED_BY_VALUE, BFLOAT16, (*FULL, *BFLOAT16), ("SOLVER.ACCUMULATE", 2)],
    ids=["plain", "full", "value", "bf16", "full bf16", "accumulate"],
)
def test_nothing_is_read_between_two_readings(tmp_path, monkeypatch, overrides):
    trainer = trainer_of(tmp_path, *overrides)
    with counted(trainer, monkeypatch) as counts:
        trainer.train()
    # In step 0 torch's loader starts, which draws a number; at 2 * PERIOD the run is over.
    assert counts.keys() - {0, 2 * PERIOD} == READINGS


@pytest.mark.parametrize(
    "read",
    [
        lambda tensor: tensor.sum().item(),
        lambda tensor: bool(tensor.sum() > 0),
        lambda tensor: float(tensor[0, 0]),
        lambda tensor: tensor.tolist(),
        lambda tensor: tensor.numpy(),
        lambda tensor: tensor.cpu(),
        lambda tensor: tensor[tensor > 0],
    ],
    ids=["item", "bool", "float", "tolist", "numpy", "cpu", "mask"],
)
def test_a_hook_that_reads_is_seen(tmp_path, monkeypatch, read):
    trainer = trainer_of(tmp_path)
    trainer.register_hooks([Reads(read)])
    with counted(trainer, monkeypatch) as counts:
        trainer.train()
    assert set(range(2 * PERIOD)) <= counts.keys()


class ErrorOnSynchronisation(HookBase):
    """From the second step to the last but one, CUDA raises where the host would wait; readings are excepted."""

    turn = -1

    def before_step(self):
        if self.trainer.iter == 1:  # in the first, libraries are set up
            torch.cuda.set_sync_debug_mode("error")

    def after_step(self):
        if self.trainer.iter == self.trainer.max_iter - 2:
            torch.cuda.set_sync_debug_mode("default")


class OnDevice:
    """Batches that are on the device already."""

    def __init__(self):
        self.batches = [{"x": torch.randn(4, 3, device="cuda")} for _ in range(4)]

    def __iter__(self):
        while True:
            yield from self.batches


@pytest.fixture
def readings_excepted(monkeypatch):
    read, readings = PendingTensors.read, []

    def excepted(self):
        mode = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("default")
        try:
            return read(self)
        finally:
            readings.append(mode)
            torch.cuda.set_sync_debug_mode(mode)

    monkeypatch.setattr(PendingTensors, "read", excepted)
    yield readings
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: CUDA tells where it would wait")
@pytest.mark.parametrize(
    "overrides",
    [PLAIN, FULL, CLIPPED_BY_VALUE, BFLOAT16, (*FULL, *BFLOAT16), (*FULL, *FLOAT16_FUSED)],
    ids=["plain", "full", "value", "bf16", "full bf16", "full fp16 fused"],
)
def test_cuda_never_waits_between_two_readings(tmp_path, readings_excepted, overrides):
    trainer = trainer_of(tmp_path, "MODEL.DEVICE", "cuda", *overrides)
    trainer.data_loader = OnDevice()
    trainer.register_hooks([ErrorOnSynchronisation()])
    trainer.train()
    assert trainer.completed_iter == 2 * PERIOD - 1
    assert 2 in readings_excepted  # "error": the mode was on while the metrics of a period were read


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: CUDA tells where it would wait")
def test_cuda_tells_of_a_hook_that_waits(tmp_path, readings_excepted):
    trainer = trainer_of(tmp_path, "MODEL.DEVICE", "cuda")
    trainer.data_loader = OnDevice()
    trainer.register_hooks([ErrorOnSynchronisation(), Reads(lambda tensor: tensor.sum().item())])
    with pytest.raises(RuntimeError, match="synchroniz"):
        trainer.train()
