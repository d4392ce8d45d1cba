import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from market_folder import write_image, write_market
from steploop.projects.reid.trainer import ReidTrainer
from tiny_reid import tiny_reid_cfg

SCRIPT = Path(__file__).parents[3] / "projects/reid/check_data.py"


def check(*arguments, root):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "STEPLOOP_DATASETS": str(root)},
        timeout=120,
    )


def test_tables_and_a_contact_sheet(tmp_path):
    write_market(tmp_path / "market")
    done = check("market", "--contact-sheet", tmp_path / "sheet.png", root=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| train" in done.stdout and done.stdout.rstrip().endswith("OK: no problem was found.")
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_a_problem_is_the_exit_status_also_as_json(tmp_path):
    market = write_market(tmp_path / "market")
    next(market.glob("query/*.png")).write_bytes(b"no image")
    done = check(market, "--json", root=tmp_path)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert not report["ok"] and [finding["kind"] for finding in report["findings"]] == ["broken"]


def test_a_wrong_name_is_one_line(tmp_path):
    write_market(tmp_path / "market")
    done = check("markt", root=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: unknown data set 'markt'; did you mean 'market'?")
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["people", "people.csv"])
def test_what_was_checked_trains_with_no_code(tmp_path, name):
    rows = ["path,identity,camera"]
    for number in range(32):
        path = f"people/{number // 4}/cam{number % 2 + 1}_{number}.png"
        write_image(tmp_path / path, number)
        rows.append(f"{path},{number // 4},{number % 2 + 1}")
    (tmp_path / "people.csv").write_text("\n".join(rows))
    results = ReidTrainer(tiny_reid_cfg(tmp_path / "run", (str(tmp_path / name),))).train()
    assert 0 <= results[str(tmp_path / name)]["mAP"] <= 100
