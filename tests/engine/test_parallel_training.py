"""Several processes do the arithmetic of one."""

from pathlib import Path

import pytest
import torch

import parallel_runs
from steploop.engine import launch


def run(folder: Path, processes: int, kind="regression", optimizer="SGD", accumulate=1, **options):
    path = folder / f"{processes}_{kind}_{optimizer}_{accumulate}_{'_'.join(options)}.pt"
    launch(parallel_runs.save_training, processes, args=(str(path), kind, optimizer, accumulate, options), device="cpu")
    return torch.load(path)


def largest_difference(a, b):
    return max((a["weights"][name] - b["weights"][name]).abs().max().item() for name in a["weights"])


@pytest.mark.parametrize("optimizer, tolerance", [("SGD", 1e-6), ("Adam", 1e-5)])
def test_half_batches_give_the_weights_of_the_whole(tmp_path, optimizer, tolerance):
    one = run(tmp_path, 1, optimizer=optimizer)
    two = run(tmp_path, 2, optimizer=optimizer)
    assert largest_difference(one, two) <= tolerance
    assert [step for _, step in two["losses"]] == list(range(20))
    torch.testing.assert_close(torch.tensor(two["losses"]), torch.tensor(one["losses"]), atol=1e-5, rtol=1e-5)


def test_accumulation_in_two_processes_does_too(tmp_path):
    assert largest_difference(run(tmp_path, 1), run(tmp_path, 2, accumulate=4)) <= 1e-6


def test_options_of_ddp_change_how_and_not_what(tmp_path):
    options = {"find_unused_parameters": True, "broadcast_buffers": False}
    assert largest_difference(run(tmp_path, 1), run(tmp_path, 2, **options)) <= 1e-6


def test_compressed_gradients_are_close(tmp_path):
    assert 0 < largest_difference(run(tmp_path, 1), run(tmp_path, 2, compression="fp16")) < 0.05


def test_cross_rank_mining_loses_nothing(tmp_path):
    one = run(tmp_path, 1, "cross-rank")
    assert largest_difference(one, run(tmp_path, 2, "cross-rank")) <= 1e-5  # the batch is summed in another order
    assert largest_difference(one, run(tmp_path, 2, "own batches")) > 1e-3


def test_a_step_has_no_collective_but_ddps_own(tmp_path):
    path = tmp_path / "calls"
    launch(parallel_runs.count_collectives, 2, args=(str(path),), device="cpu")
    calls = path.read_text().split("\n")
    # The first reading agrees on the names: one exchange of objects, and their values in a second tensor. Each reading
    # has a second part, behind the hooks.
    assert calls[4] == "all_gather:3,all_gather_object:1"
    assert [calls[step] for step in (9, 14, 19)] == ["all_gather:2"] * 3
    assert all(call == "" for step, call in enumerate(calls) if step % 5 != 4)


def test_three_processes_resume_in_the_same_bits_where_ddp_keeps_its_buckets(tmp_path):
    weights = []
    for stop in (0, 5):
        path = tmp_path / f"{stop}.pt"
        options = {"find_unused_parameters": True}  # what DETERMINISTIC asks for
        launch(parallel_runs.save_stopped_training, 3, args=(str(path), stop, 12, options), device="cpu")
        weights.append(torch.load(path))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
