"""CenterFusion with two processes: the same as one, and the same bits after a resume."""

import json
from datetime import timedelta

import torch

import centerfusion_ranks
from centerfusion_golden import golden, group
from steploop.engine import launch
from tiny_centerfusion import write_tiny_roads


def test_two_processes_with_different_numbers_of_objects_are_one_process(tmp_path):
    """Rank 0 has one image with few objects, rank 1 two images with many."""
    figures = golden("losses")
    batch, outputs = group(figures, "in"), group(figures, "out")
    outputs.pop("dep10")
    batch = {name: torch.cat((value, value[:1])) for name, value in batch.items()}
    for name in batch:
        if name.endswith("mask"):
            batch[name][0, 3:] = 0
    found = []
    for shares in ([[0, 1, 2]], [[0], [1, 2]]):
        path = tmp_path / f"{len(shares)}.pt"
        arguments = (str(path), batch, outputs, shares)
        launch(centerfusion_ranks.gradients, len(shares), args=arguments, device="cpu", timeout=timedelta(minutes=1))
        found.append(torch.load(path))
    for name, gradient in found[0].items():
        if name == "hm":  # the sum over cells has no number of images either
            assert gradient.abs().max() > 0
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))


def test_a_killed_run_with_workers_resumes_in_the_same_bits_and_an_evaluation_can_be_repeated(tmp_path):
    root = write_tiny_roads(tmp_path)
    launch(
        centerfusion_ranks.train_and_resume,
        2,
        args=(str(tmp_path), str(root)),
        device="cpu",
        timeout=timedelta(minutes=2),
    )
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    weights = [torch.load(run / "model_final.pth", weights_only=True) for run in (straight, killed)]
    assert weights[0]["iteration"] == weights[1]["iteration"] == 5
    for name, value in weights[0]["model"].items():
        assert torch.equal(value, weights[1]["model"][name]), name
    lines = [
        [{k: v for k, v in json.loads(line).items() if "time" not in k and k not in ("eta_seconds", "max_mem")}
         for line in (run / "metrics.json").read_text().splitlines()]
        for run in (straight, killed)
    ]  # fmt: skip
    assert lines[0] == lines[1]
    results, again = json.loads((tmp_path / "results.json").read_text())
    assert results == again
    files = [next(run.glob("evaluation_*")) for run in (straight, killed, tmp_path / "later")]
    names = sorted(path.name for path in files[0].iterdir())
    assert {"classes.txt", "curves.png", "metrics_summary.json", "results_nusc.json"} < set(names)
    assert any(name.startswith("sample_") for name in names)
    for name in names:
        if name != "metrics_summary.json":  # it holds its time
            assert len({(folder / name).read_bytes() for folder in files}) == 1, name
