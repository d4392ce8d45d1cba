import logging

import pytest
import torch

from steploop.engine import TorchMemoryStats
from tiny import tiny_trainer
from tiny_project import TinyTrainer, tiny_cfg


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of which 3 MB are reserved, and the calls that reset its peaks."""
    resets = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    for name in ("max_memory_reserved", "max_memory_allocated", "memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda: 3 << 20)
    monkeypatch.setattr(torch.cuda, "memory_summary", lambda: "the summary")
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: resets.append(None))
    return resets


def logged(caplog, steps, *args):
    trainer = tiny_trainer()
    trainer.register_hooks([TorchMemoryStats(*args)])
    with caplog.at_level(logging.INFO, "steploop.engine.hooks.memory"):
        trainer.train(0, steps)
    return [record.getMessage() for record in caplog.records if record.name == "steploop.engine.hooks.memory"]


def test_every_period_and_at_the_last_step(gpu, caplog):
    lines = logged(caplog, 7, 3)
    assert [line.split()[1] for line in lines] == ["2", "5", "6"]
    assert lines[0].endswith("max_allocated_mem: 3MB  reserved_mem: 3MB  allocated_mem: 3MB")
    assert len(gpu) == 3


def test_the_summary_after_the_last_line(gpu, caplog):
    lines = logged(caplog, 9, 1, 2)
    assert len(lines) == 3 and lines[-1] == "\nthe summary"


def test_nothing_on_a_cpu_also_beside_an_idle_gpu(gpu, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert logged(caplog, 3, 1) == [] and gpu == []


def test_the_config_turns_it_on(tmp_path):
    names = {type(hook).__name__ for hook in TinyTrainer(tiny_cfg(tmp_path, "PROFILER.MEMORY_PERIOD", 5)).hooks}
    assert "TorchMemoryStats" in names
    names = {type(hook).__name__ for hook in TinyTrainer(tiny_cfg(tmp_path)).hooks}
    assert not names & {"TorchMemoryStats", "TorchProfiler", "PreciseBN", "ValidationLoss", "LayerFreeze"}
    assert not names & {"EarlyStopping", "BestCheckpointer"}
