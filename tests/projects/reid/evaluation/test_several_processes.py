import json

import pytest

import reid_ranks
from market_folder import write_market
from steploop.engine import launch
from tiny_reid import tiny_reid_cfg


def test_the_figures_do_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    write_market(tmp_path / "data" / "market")
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path / "data"))
    cfg = tiny_reid_cfg(tmp_path / "run", TEST__VIS_QUERIES=0)
    figures = []
    for processes in (1, 2, 3):
        path = tmp_path / f"{processes}.json"
        launch(reid_ranks.save_evaluation, processes, args=(str(path), cfg), device="cpu")
        figures.append(json.loads(path.read_text())["market"])
    assert figures[1] == pytest.approx(figures[0], abs=1e-6)
    assert figures[2] == pytest.approx(figures[0], abs=1e-6)
