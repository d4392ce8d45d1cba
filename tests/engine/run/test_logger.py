import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from steploop.engine.run import logger as logger_module
from steploop.engine.run.logger import close_logger, log_every_n_seconds, log_first_n, set_console_writer, setup_logger

NAME = "loggertest"


@pytest.fixture(autouse=True)
def closed():
    yield
    close_logger(NAME)
    set_console_writer(None)


def open_files() -> set[str]:
    return {os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()}


def test_a_line_goes_to_console_and_file(tmp_path, capsys):
    setup_logger(tmp_path / "run", name=NAME)
    logging.getLogger(f"{NAME}.part").info("hello %d", 1)
    logging.getLogger(NAME).warning("careful")
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "run" / "log.txt").read_text()
    first, second = printed.splitlines()
    assert first.endswith(f" {NAME}.part]: hello 1")
    assert second.endswith(f" {NAME}]: WARNING careful")
    assert "\x1b" not in printed


def test_only_rank_0_prints_and_each_rank_has_its_file(tmp_path, capsys):
    setup_logger(tmp_path, 3, name=NAME).info("hello")
    assert capsys.readouterr().out == ""
    assert "hello" in (tmp_path / "log.txt.rank3").read_text()
    assert not (tmp_path / "log.txt").exists()


def test_setting_up_again_doubles_nothing(tmp_path, capsys):
    for _ in range(3):
        setup_logger(tmp_path, name=NAME)
    setup_logger(name=NAME).info("hello")
    assert capsys.readouterr().out.count("hello") == 1
    assert (tmp_path / "log.txt").read_text().count("hello") == 1


def test_a_second_folder_takes_the_place_of_the_first(tmp_path):
    setup_logger(tmp_path / "a", name=NAME).info("one")
    setup_logger(tmp_path / "b" / "train.log", name=NAME).info("two")
    assert "two" not in (tmp_path / "a" / "log.txt").read_text()
    assert "one" not in (tmp_path / "b" / "train.log").read_text()
    assert str(tmp_path / "a" / "log.txt") not in open_files()


def test_closing_leaves_nothing_and_spares_foreign_handlers(tmp_path):
    foreign = logging.NullHandler()
    log = setup_logger(tmp_path, name=NAME)
    log.addHandler(foreign)
    close_logger(NAME)
    assert log.handlers == [foreign]
    assert log.propagate
    assert str(tmp_path / "log.txt") not in open_files()
    log.removeHandler(foreign)


def test_colour_on_a_terminal_only(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    log = setup_logger(name=NAME)
    log.info("plain")
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    log.error("painted")
    assert "\x1b[32m" in (printed := capsys.readouterr().out)
    assert printed.rstrip().endswith("painted")
    setup_logger(name=NAME, color=False).error("plain again")
    assert "\x1b" not in capsys.readouterr().out


def test_an_abbreviation_is_for_the_console(tmp_path, capsys):
    setup_logger(tmp_path, name=NAME, abbrev_name="lt")
    logging.getLogger(f"{NAME}.part").info("hello")
    assert " lt.part]: hello" in capsys.readouterr().out
    assert f" {NAME}.part]: hello" in (tmp_path / "log.txt").read_text()
    setup_logger(name=NAME, abbrev_name="").info("bare")
    assert f"{NAME}" not in capsys.readouterr().out


def test_lines_pass_above_a_progress_bar(capsys):
    lines = []
    log = setup_logger(name=NAME)
    set_console_writer(lines.append)
    log.info("above")
    set_console_writer(None)
    log.info("below")
    assert len(lines) == 1
    assert lines[0].endswith("above")
    assert "above" not in (printed := capsys.readouterr().out)
    assert "below" in printed


def test_log_first_n(caplog):
    caplog.set_level(logging.INFO)
    for index in range(4):
        log_first_n(logging.INFO, f"line {index}", n=2)
    assert caplog.messages == ["line 0", "line 1"]
    assert caplog.records[0].name == __name__
    caplog.clear()
    for _ in range(2):
        log_first_n(logging.INFO, "same text", key="message")
        log_first_n(logging.INFO, "same text", key="message")
    assert caplog.messages == ["same text"]
    with pytest.raises(ValueError, match="got 'line'"):
        log_first_n(logging.INFO, "x", key="line")


def test_log_every_n_seconds(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    for now in (10.0, 14.9, 15.0, 16.0, 20.1):
        monkeypatch.setattr(logger_module.time, "monotonic", lambda now=now: now)
        log_every_n_seconds(logging.INFO, f"at {now}", n=5)
    assert caplog.messages == ["at 10.0", "at 15.0", "at 20.1"]


def test_the_import_configures_nothing():
    code = (
        "import logging, steploop.engine.run.logger\n"
        "print(logging.getLogger().handlers, logging.getLogger('steploop').handlers)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"
