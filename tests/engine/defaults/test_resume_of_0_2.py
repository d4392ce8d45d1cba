"""A run of version 0.2.0 that was killed goes on, and ends where it would have ended then."""

import json
import shutil
from pathlib import Path

import torch

import exact_runs
from exact_runs import ACCUMULATED, ASYNC, CLIPPING, EMA, EVALUATED, SCHEDULED

ASSET = Path(__file__).parents[2] / "assets" / "run_of_0.2.0"
OPTIONS = (*EVALUATED, *EMA, *CLIPPING, *ASYNC, *ACCUMULATED, *SCHEDULED)
CLOCKS = {"time", "data_time", "rank_data_time", "eta_seconds"}


def tensors(tree, prefix=""):
    if isinstance(tree, torch.Tensor):
        return {prefix: tree}
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    return {name: value for key, item in pairs for name, value in tensors(item, f"{prefix}.{key}").items()}


def lines(path):
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in CLOCKS} for line in found]


def test_it_ends_in_the_weights_and_the_metrics_of_a_run_that_never_stopped(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(ASSET / "killed", folder)
    trainer = exact_runs.train(folder, *OPTIONS)
    assert trainer.start_iter == 6
    ours = torch.load(folder / "model_final.pth", weights_only=True)
    theirs = torch.load(ASSET / "whole" / "model_final.pth", weights_only=True)
    # Another CPU may round otherwise; on the one that made the asset, all of it is equal.
    one, other = tensors(ours), tensors(theirs)
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-5, atol=1e-6, msg=name)
    assert ours["iteration"] == theirs["iteration"] == 11
    assert ours["trainer"].keys() == theirs["trainer"].keys()
    assert ours["trainer"]["_trainer"].keys() == theirs["trainer"]["_trainer"].keys()
    assert ours["trainer"]["_trainer"]["iteration"] == 11
    written, expected = lines(folder / "metrics.json"), lines(ASSET / "whole" / "metrics.json")
    assert [line.keys() for line in written] == [line.keys() for line in expected]
    for line, same in zip(written, expected):
        assert all(abs(line[name] - same[name]) <= 1e-5 * max(1, abs(same[name])) for name in line)
