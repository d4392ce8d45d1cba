import json

import pytest

from steploop.config import get_cfg
from steploop.engine import clear_errors


def test_an_error_of_our_own_checks_is_one_line():
    with pytest.raises(SystemExit) as ended, clear_errors():
        get_cfg().merge_from_list(["SOLVER.BASE_RL", "1"])
    assert str(ended.value.code).startswith("error: ")
    assert "BASE_LR" in ended.value.code


def test_an_error_from_elsewhere_keeps_its_traceback():
    with pytest.raises(json.JSONDecodeError), clear_errors():
        json.loads("{")


def test_no_error_no_change():
    with clear_errors():
        pass


def test_ctrl_c_is_no_traceback(capsys):
    with pytest.raises(SystemExit) as ended, clear_errors():
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
