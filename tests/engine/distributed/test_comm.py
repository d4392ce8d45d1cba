import json

import pytest
import torch
import torch.distributed as dist

import rank_workers
from steploop.engine import comm
from steploop.engine.distributed.launch import launch


def test_a_single_process_needs_no_group():
    assert (comm.get_world_size(), comm.get_rank(), comm.is_main_process()) == (1, 0, True)
    assert (comm.get_local_rank(), comm.get_local_size()) == (0, 1)
    comm.synchronize()
    comm.create_local_process_group(1)
    assert comm.all_gather({"a": 1}) == comm.gather({"a": 1}) == [{"a": 1}]
    losses = {"a": torch.tensor(2.0)}
    assert comm.reduce_dict(losses) == losses
    with pytest.raises(RuntimeError, match="create_local_process_group"):
        comm.get_local_process_group()
    with pytest.raises(ValueError, match="blocks of 2"):
        comm.create_local_process_group(2)


def test_a_shared_seed_is_new_each_time_and_disturbs_no_generator():
    state = torch.get_rng_state()
    seeds = {comm.shared_random_seed() for _ in range(8)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_is_remembered_of_a_group_that_was_left(tmp_path):
    for index in range(2):
        store = dist.FileStore(str(tmp_path / f"store{index}"), 1)
        dist.init_process_group("gloo", store=store, rank=0, world_size=1)
        assert (comm.get_local_rank(), comm.all_gather("x")) == (0, ["x"])
        comm.set_local_rank(0, 1)
        assert len(comm._local) == 1
        dist.destroy_process_group()
        assert len(comm._local) == 0


def test_two_processes_talk(tmp_path):
    launch(rank_workers.talk, 2, args=(str(tmp_path),), device="cpu")
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    assert (first["main"], second["main"]) == (True, False)
    assert first["all_gather"] == second["all_gather"] == [{"rank": 0, "text": "x"}, {"rank": 1, "text": "xx"}]
    assert (first["gather"], second["gather"]) == ([], [0, 1])
    assert (first["tensors"], second["tensors"]) == ([], [[], [[1.0, 1.0, 1.0]]])
    assert first["seed"] == second["seed"]
    assert first["reduced"] == {"a": 5.0, "b": 2.5}
    assert first["local"] == second["local"] == [0, 1]
    assert (first["in local group"], second["in local group"]) == ([0], [1])
