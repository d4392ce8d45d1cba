import math

from steploop.config import ABSENT, diff_configs, format_diff, get_cfg, load_yaml


def test_no_difference_after_writing_and_reading(tmp_path):
    cfg = get_cfg()
    cfg.SOLVER.BASE_LR = math.nan
    (tmp_path / "config.yaml").write_text(cfg.dump())
    assert diff_configs(load_yaml(tmp_path / "config.yaml"), cfg) == []
    assert format_diff([]) == ""


def test_differences():
    old = {"A": {"B": 1, "C": [1, 2], "D": True, "GONE": None}, "E": "x"}
    new = {"A": {"B": 2, "C": (1, 2), "D": 1}, "E": "x", "NEW": {"F": 0.5}}
    changes = [("A.B", 1, 2), ("A.D", True, 1), ("A.GONE", None, ABSENT), ("NEW.F", ABSENT, 0.5)]
    assert diff_configs(old, new) == changes
    assert format_diff(changes).splitlines() == [
        "key     before    now",
        "------  --------  --------",
        "A.B     1         2",
        "A.D     True      1",
        "A.GONE  None      (absent)",
        "NEW.F   (absent)  0.5",
    ]


def test_numbers_are_printed_as_they_are():
    assert "1e-05" in format_diff([("LR", 1e-05, 0.00012)]) and "0.00012" in format_diff([("LR", 1e-05, 0.00012)])
