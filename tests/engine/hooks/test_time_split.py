import itertools
import time

import pytest
import torch
from torch import nn

import exact_runs
from steploop.engine import HookBase, SimpleTrainer, hooks, inference_context
from steploop.engine.hooks.time_split import _DeviceClock
from tiny import TinyLoader, TinyModel, tiny_trainer

PHASES = ("data", "forward", "backward", "optimizer", "hooks")


class Clock:
    """Time that passes only where somebody lets it."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("steploop.engine.hooks.time_split.time.perf_counter", clock)
    return clock


def slow_trainer(clock, **kwargs):
    """Each phase takes another number of seconds: 1 for data, 2 forward, 4 backward, 8 in the optimizer."""

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            clock.passes(2)
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            clock.passes(4)
            return grad

    class Model(TinyModel):
        def forward(self, batch):
            return {"loss": Slow.apply(super().forward(batch)["loss"])}

    class Loader(TinyLoader):
        def __iter__(self):
            for batch in super().__iter__():
                clock.passes(1)
                yield batch

    class Optimizer(torch.optim.SGD):
        def step(self, closure=None):
            clock.passes(8)
            return super().step(closure)

    model = Model()
    return SimpleTrainer(model, Loader(), Optimizer(model.parameters(), lr=0.01), **kwargs)


class Takes(HookBase):
    def __init__(self, clock, **seconds):
        self.clock, self.seconds = clock, seconds

    def before_step(self):
        self.clock.passes(self.seconds.get("before_step", 0))

    def after_backward(self):
        self.clock.passes(self.seconds.get("after_backward", 0))

    def after_step(self):
        self.clock.passes(self.seconds.get("after_step", 0))


def last(trainer):
    return [trainer.storage.history(f"time/{phase}").latest() for phase in PHASES]


def test_each_part_is_told_apart_and_nothing_is_left_out(clock):
    trainer = slow_trainer(clock)
    trainer.register_hooks([hooks.TimeSplit(2), Takes(clock, before_step=16, after_backward=32, after_step=64)])
    start = clock.now
    trainer.train(0, 4)
    values = trainer.storage.history("time/hooks").values()
    assert [iteration for _, iteration in values] == [1, 3]
    assert last(trainer) == [1, 2, 4, 8, 16 + 32 + 64]
    # What the hooks do after a step is counted with the next one; after the last, nobody looks.
    totals = [2 * sum(trainer.storage.history(f"time/{p}").values()[i][0] for p in PHASES) for i in (0, 1)]
    assert sum(totals) == clock.now - start - 64


def test_micro_batches_add_up(clock):
    trainer = slow_trainer(clock, accumulate=3)
    trainer.register_hooks([hooks.TimeSplit(1)])
    trainer.train(0, 2)
    assert last(trainer) == [3, 6, 12, 8, 0]


def test_an_evaluation_counts_as_a_hook_and_not_as_forward(clock):
    class Evaluates(HookBase):
        def after_step(self):
            with inference_context(self.trainer.model):
                self.trainer.model(torch.zeros(4, 3))

    trainer = slow_trainer(clock)
    trainer.register_hooks([hooks.TimeSplit(1), Evaluates()])
    trainer.train(0, 3)
    assert last(trainer) == [1, 2, 4, 8, 2]


def test_everything_is_given_back(clock):
    trainer = slow_trainer(clock)
    trainer.register_hooks([hooks.TimeSplit(1)])
    for _ in range(2):  # a trainer trains more than once
        trainer.train(0, 2)
        assert trainer.phase_clock is None
    assert last(trainer) == [1, 2, 4, 8, 0]


def test_a_period_of_0_records_the_end():
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.TimeSplit(0)])
    trainer.train(0, 5)
    assert [iteration for _, iteration in trainer.storage.history("time/data").values()] == [4]


def test_what_it_does_is_no_part_of_a_compiled_model(monkeypatch):
    seen = []
    clock = "steploop.engine.hooks.time_split._HostClock.enter"
    monkeypatch.setattr(clock, lambda self, phase: seen.append(torch.compiler.is_compiling()))
    model = TinyModel()
    model.compile(backend="eager")
    trainer = tiny_trainer(model=model)
    trainer.register_hooks([hooks.TimeSplit(0)])
    trainer.train(0, 1)
    assert seen and not any(seen)


def test_the_config_asks_for_it_and_the_run_ends_in_the_same_bits(tmp_path):
    split = ("LOG_TIME_SPLIT", True, *exact_runs.EVALUATED)
    trainer = exact_runs.train(tmp_path / "whole", *split)
    assert "time/backward" in trainer.storage.latest()
    assert "time/backward" not in trainer.storage.state_dict()["scalars"]
    exact_runs.train(tmp_path / "killed", *split, kill=("after_step", 7))
    exact_runs.train(tmp_path / "killed", *split)
    assert exact_runs.differences(tmp_path / "whole", tmp_path / "killed") == []
    without = exact_runs.train(tmp_path / "without", *exact_runs.EVALUATED)
    assert exact_runs.differences(tmp_path / "whole", tmp_path / "without") == []
    assert not any(name.startswith("time/") for name in without.storage.latest())


def test_a_device_is_waited_for_only_when_it_is_read(monkeypatch):
    waits = []

    class Event:
        count = itertools.count()

        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = next(self.count) ** 2  # milliseconds, no two distances alike

        def synchronize(self):
            waits.append(self.at)

        def elapsed_time(self, end):
            return end.at - self.at

    monkeypatch.setattr("torch.cuda.Event", Event)
    clock = _DeviceClock()
    for phase in ("data", "forward", "data", "forward"):
        clock.enter(phase)
    assert not waits
    assert clock.read() == pytest.approx({"data": (1 + 5) / 1000, "forward": 3 / 1000}) and waits == [9]
    clock.enter("data")
    assert clock.read() == pytest.approx({"forward": 7 / 1000})  # what was open goes on
    for _ in range(3 * clock.MOST):
        clock.enter("hooks")
    assert len(clock._marks) <= clock.MOST + 1 and len(waits) == 2 + 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_parts_are_the_devices_and_add_up():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(*(nn.Linear(2048, 2048) for _ in range(8)))

        def forward(self, batch):
            return {"loss": self.layers(batch).square().mean()}

    model = Model().cuda()
    batch = torch.randn(4096, 2048, device="cuda")
    trainer = SimpleTrainer(model, itertools.repeat(batch), torch.optim.SGD(model.parameters(), lr=1e-3))
    trainer.register_hooks([hooks.TimeSplit(10)])
    trainer.train(0, 10)
    torch.cuda.synchronize()
    start = time.perf_counter()
    trainer.train(0, 20)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    data, forward, backward, optimizer, others = last(trainer)
    assert 1.2 < backward / forward < 4
    assert 10 * (data + forward + backward + optimizer + others) < seconds
