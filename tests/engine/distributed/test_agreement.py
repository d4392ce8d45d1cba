import json

import pytest

import rank_workers
from steploop.engine import launch
from steploop.engine.distributed.agreement import check_same_config, from_main


def test_one_process_agrees_with_itself():
    assert from_main(lambda: 3) == 3
    with pytest.raises(LookupError, match="why"):
        from_main(lambda: (_ for _ in ()).throw(LookupError("why")))
    check_same_config({"A": 1})


def test_rank_0_decides_and_what_differs_is_an_error_on_every_rank(tmp_path):
    launch(rank_workers.agree, 2, device="cpu", args=(str(tmp_path),))
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert (first["result"], second["result"]) == (0, 0)
    assert first["error"] == second["error"] == "FileNotFoundError: [Errno 2] no such file: 'x.yaml'"
    assert (first["unpicklable"], second["unpicklable"]) == (
        "_Unpicklable: 1 and 2",
        "RuntimeError: rank 0: _Unpicklable: 1 and 2",
    )
    assert first["same"] is second["same"] is None
    for name in ("different", "set-up of different configs"):
        assert first[name] == second[name]
        assert first[name].startswith("ValueError: the processes of this run have different settings")
        assert "SEED: 3 (rank 0), 4 (rank 1)" in first[name]
        assert "SOLVER.BASE_LR: 0.1 (rank 0), 0.2 (rank 1)" in first[name]
        assert "MAX_ITER" not in first[name]
    assert first["flags"] == second["flags"]
    assert "--resume: False (rank 0), True (rank 1)" in first["flags"]
    assert first["folder"] == second["folder"]
    assert "OUTPUT_DIR" in first["folder"] and "cannot be written" in first["folder"]
