import json
import math
from datetime import timedelta

import pytest
import torch.distributed as dist

import reduction_ranks
from steploop.engine import launch
from steploop.engine.metrics.reduction import MetricReducer


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Run everything on two ranks at once; return what each function saw on each rank."""
    folder = tmp_path_factory.mktemp("ranks")
    launch(reduction_ranks.all_of_it, 2, device="cpu", args=(str(folder),), timeout=timedelta(minutes=1))
    return {
        path.name: [json.loads((path / f"rank{rank}.json").read_text()) for rank in range(2)]
        for path in folder.iterdir()
    }


def test_means_maxima_and_names_of_one_rank_only(seen):
    for record in seen["reduce_spans"]:
        assert record["seen_before"] == ["own"], "nothing is visible before it is reduced, but what is a rank's own"
        reduced, flag = record["spans"][0]
        assert reduced == {
            "loss": [[5.0, 0], [6.0, 1], [7.0, 2]],
            "rare": [[5.0, 1]],
            "time": [[2.0, 0], [2.0, 1], [2.0, 2]],
        }
        assert flag == 1
    assert [record["own"] for record in seen["reduce_spans"]] == [0.0, 1.0]


def test_names_that_are_new_later_and_nan(seen):
    for record in seen["reduce_spans"]:
        reduced, flag = record["spans"][1]
        assert reduced["late_a"] == [[2.0, 3], [2.0, 4]] and reduced["late_b"] == [[1.0, 3], [1.0, 4]]
        assert reduced["loss"][0] == [3.0, 3] and math.isnan(reduced["loss"][1][0])
        assert "rare" not in reduced and "time" not in reduced
        assert flag == 0


def test_a_span_in_which_nothing_was_measured_still_carries_the_flag(seen):
    for record in seen["reduce_spans"]:
        assert record["spans"][2] == [{}, 2]


def test_in_a_run_values_are_read_once_a_period(seen):
    for record in seen["train_with_metrics"]:
        expected = [[step + 0.5, step] for step in range(10)]
        assert record["points"]["before"] == record["points"]["backward"] == expected
        assert record["seen"] == {
            str(step): None if step < 3 else [3.5, 3] if step < 7 else [7.5, 7] if step < 9 else [9.5, 9]
            for step in range(10)
        }


def test_what_a_hook_puts_after_a_step_is_written_at_that_step(seen):
    for record in seen["train_with_metrics"]:
        assert record["points"]["after"] == [[step + 0.5, step] for step in range(10)]
    # A tensor that was put at a step of the period is in the line of that step, as with one process.
    assert seen["train_with_metrics"][0]["lines"] == [[3, 3.5], [7, 7.5], [9, 9.5]]


def test_all_ranks_stop_at_the_same_step_for_one_of_them(seen):
    for rank, record in enumerate(seen["stop_and_fail"]):
        assert (record["iter"], record["requeue"]) == (7, True)
        assert record["reason"] == ("mine" if rank == 1 else "another process asked to stop")


def test_all_ranks_fail_at_the_same_step_for_one_of_them(seen):
    for record in seen["stop_and_fail"]:
        assert record["failed_at"] == 7
        assert "at iteration=6: {'total_loss': nan}" in record["error"]


def test_a_value_of_another_span_is_an_error(tmp_path):
    dist.init_process_group("gloo", f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        reducer = MetricReducer()
        assert reducer({"a": ("mean", [(1.0, 4), (2.0, 4)])}, 4, 5) == ({"a": [(1.5, 4)]}, 0)
        with pytest.raises(ValueError, match="'a' was put at iteration 6, outside 4..5"):
            reducer({"a": ("mean", [(1.0, 6)])}, 4, 5)
        assert reducer({"b": ("max", [(1.0, 4), (-2.0, 4)])}, 4, 4) == ({"b": [(1.0, 4)]}, 0)
    finally:
        dist.destroy_process_group()
