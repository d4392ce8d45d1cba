import itertools
import json
import random
from datetime import timedelta

import pytest
import torch

import exact_ranks
import exact_runs
from exact_runs import (
    ACCUMULATED,
    ASYNC,
    BFLOAT16,
    CLIPPING,
    EMA,
    EVALUATED,
    EVERYTHING,
    FLOAT16,
    SCHEDULED,
    STEPS,
    differences,
    samples_by_step,
    train,
)
from steploop.data import Draw, MappedDataset, StepBatchSampler, TrainingSampler, TrainLoader
from steploop.engine import launch
from steploop.engine.checkpoint import read_checkpoint

KINDS = {
    "dropout": (),
    "evaluations and a best metric": EVALUATED,
    "average of weights": (*EVALUATED, *EMA),
    "accumulation": ACCUMULATED,
    "bfloat16": BFLOAT16,
    "float16 with a scaler": FLOAT16,
    "clipping": CLIPPING,
    "asynchronous": (*EVALUATED, *ASYNC),
    "schedule": SCHEDULED,
    "no evaluation but the last": (*EVALUATED, "TEST.EVAL_PERIOD", 0),
    "a line at each step": ("LOG_PERIOD", 1),
    "a line at the end only": ("LOG_PERIOD", 0),
}
MOMENTS = [
    *itertools.product(("before_step", "after_backward", "after_step"), range(STEPS)),
    *(("saved", step) for step in range(2, STEPS, 3)),
    ("after_train", STEPS),  # the final evaluation is made, and not written
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a run that was never interrupted, made once for each kind."""
    folders = {}

    def whole(*overrides):
        if overrides not in folders:
            folders[overrides] = tmp_path_factory.mktemp("whole") / "run"
            train(folders[overrides], *overrides)
        return folders[overrides]

    return whole


@pytest.mark.parametrize("moment, step", MOMENTS)
def test_killed_once_at_each_moment_of_each_step(tmp_path, whole, moment, step):
    train(tmp_path / "run", *EVERYTHING, kill=(moment, step))
    train(tmp_path / "run", *EVERYTHING)
    assert differences(tmp_path / "run", whole(*EVERYTHING)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_killed_again_and_again(tmp_path, whole, kind):
    draw = random.Random(kind)
    steps = sorted(draw.sample(range(STEPS), 4))
    for step in steps:
        moment = draw.choice(["before_step", "after_backward", "after_step", *["saved"] * ((step + 1) % 3 == 0)])
        train(tmp_path / "run", *KINDS[kind], kill=(moment, step))
    train(tmp_path / "run", *KINDS[kind])
    assert differences(tmp_path / "run", whole(*KINDS[kind])) == []


def test_the_number_of_workers_changes_nothing(tmp_path, whole):
    def workers(number):
        return (*EVALUATED, "DATALOADER.NUM_WORKERS", number)

    train(tmp_path / "run", *workers(2), kill=("after_backward", 4))
    train(tmp_path / "run", *workers(0), kill=("before_step", 7))
    train(tmp_path / "run", *workers(1), kill=("saved", 8))
    train(tmp_path / "run", *workers(2))
    assert differences(tmp_path / "run", whole(*workers(0))) == []


def test_two_processes_end_in_the_same_bits_and_another_number_draws_the_same_samples(tmp_path):
    train(tmp_path / "2 after 1", kill=("before_step", 5))
    launch(exact_ranks.train_and_resume, 2, device="cpu", args=(str(tmp_path),), timeout=timedelta(minutes=1))
    for kind, kills in exact_ranks.KILLS.items():
        for kill in kills:
            assert differences(tmp_path / f"{kind} {kill}", tmp_path / kind) == []

    samples = samples_by_step(train(tmp_path / "1"))
    of_two = json.loads((tmp_path / "samples.json").read_text())
    goes_on = samples_by_step(train(tmp_path / "1 after 2"))
    assert list(goes_on) == list(range(6, STEPS)) and list(of_two["2 after 1"]) == list(map(str, range(3, STEPS)))
    for seen in (goes_on, of_two["2 after 1"], of_two["1 after 2"]):
        assert seen == {step: samples[int(step)] for step in seen}


def test_a_failed_run_is_resumed_too(tmp_path, whole):
    """What is done when a run fails (closing, waiting) must leave nothing that the resumed one would not have."""
    trainer = exact_runs.prepare(tmp_path / "run", *EVALUATED)
    run_step = trainer.run_step

    def fail():
        if trainer.iter == 7:
            raise RuntimeError("the power is gone")
        run_step()

    trainer.run_step = fail
    with pytest.raises(RuntimeError, match="the power is gone"):
        trainer.train()
    train(tmp_path / "run", *EVALUATED)
    assert differences(tmp_path / "run", whole(*EVALUATED)) == []


def test_a_damaged_newest_checkpoint_costs_steps_but_no_bits(tmp_path, whole):
    train(tmp_path / "run", *EVALUATED, kill=("before_step", 8))
    newest = tmp_path / "run" / (tmp_path / "run" / "last_checkpoint").read_text()
    assert newest.name == "model_0000005.pth"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    train(tmp_path / "run", *EVALUATED)
    assert differences(tmp_path / "run", whole(*EVALUATED)) == []


def test_what_the_config_says_takes_effect(tmp_path, whole):
    """Learning rate, weight decay and length may be changed; the momentum learned so far stays."""
    changed = ("SOLVER.BASE_LR", 0.01, "SOLVER.WEIGHT_DECAY", 0.5, "SOLVER.MAX_ITER", 8)
    train(tmp_path / "run", kill=("before_step", 5))
    trainer = train(tmp_path / "run", *changed)
    assert (trainer.start_iter, trainer.iter) == (3, 8)
    assert trainer.storage.history("lr").values() == [(0.05, step) for step in range(3)] + [
        (0.01, step) for step in range(3, 8)
    ]
    assert {group["weight_decay"] for group in trainer.optimizer.param_groups} >= {0.5}
    saved = read_checkpoint(tmp_path / "run" / "model_0000002.pth")["trainer"]["_trainer"]["optimizer"]["state"]
    resumed = exact_runs.prepare(tmp_path / "again", *changed)
    resumed.checkpointer.resume_or_load(tmp_path / "run" / "model_0000002.pth", resume=False)
    resumed.checkpointer.load(tmp_path / "run" / "model_0000002.pth")
    for index, state in resumed.optimizer.state_dict()["state"].items():
        assert torch.equal(state["momentum_buffer"], saved[index]["momentum_buffer"])


def test_a_longer_run_goes_on_from_the_end_of_a_shorter_one(tmp_path, whole):
    train(tmp_path / "run", "SOLVER.MAX_ITER", 6)
    assert train(tmp_path / "run").start_iter == 6
    longer, once = (read_checkpoint(folder / "model_final.pth") for folder in (tmp_path / "run", whole()))
    for name, tensor in once["model"].items():
        assert torch.equal(tensor, longer["model"][name])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_entering_at_step_ten_million_reads_no_sample_of_an_earlier_step(num_workers):
    """What a worker reads ahead belongs to the next steps; each sample tells its position and who has read it."""
    step, batch_size = 10_000_000, 4
    counts = torch.zeros(2, dtype=torch.int64).share_memory_()

    def mapper(item, rng):
        counts[0] += 1
        return {"item": item}

    class Counted(MappedDataset):
        def __getitem__(self, draw: Draw):
            counts[1] += draw.position < step * batch_size
            return super().__getitem__(draw)

    sampler = TrainingSampler(1000, seed=5)
    loader = TrainLoader(
        Counted(list(range(1000)), mapper, 5), StepBatchSampler(sampler, batch_size), num_workers=num_workers
    )
    loader.seek(step)
    batch = next(iter(loader))
    loader.close()
    assert batch["item"].tolist() == [sampler.index_at(step * batch_size + i) for i in range(batch_size)]
    # Each worker reads two batches ahead, by torch's default.
    assert counts.tolist()[0] <= batch_size * max(1, 3 * num_workers)
    assert counts.tolist()[1] == 0
