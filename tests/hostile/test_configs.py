import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import CONFIG, CORRECT, observe, tally
from steploop.config import ConfigError, get_cfg, load_yaml
from steploop.config.safe_yaml import MAX_BYTES

TEXTS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")),
    st.text("aB:-[]{}'\"\\\n #&*!|>%@,?~0.eU", max_size=60).map(str.encode),
)


def write(box, data):
    path = box.clear() / "x.yaml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_mutated_configs(box):
    outcomes = tally(CONFIG, box, 500)
    assert outcomes[CORRECT] > 20 and outcomes["ConfigError"] > 200 and outcomes["WrongTypeError"] > 50


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=TEXTS)
def test_any_bytes(box, data):
    path = write(box, data)
    observe(lambda: load_yaml(path), (ConfigError,), box, repr(data))


@pytest.mark.parametrize("value", ['"\\UFFFFFFFF"', '"\\U00110000"', "1\n%YAML 1." + "1" * 5000 + "\n---\nA: 1"])
def test_numbers_that_the_scanner_cannot_take(box, value):
    # PyYAML's scanner passed OverflowError and ValueError on, without a file and a line.
    path = write(box, value if "%" not in value else value[2:])
    path.write_text(path.read_text() if "%" in value else f"A: 1\nB: {value}\n")
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: .*too large"):
        load_yaml(path)


def test_a_base_that_no_file_can_be_called(box):
    # os.path.realpath raised UnicodeEncodeError.
    path = write(box, '_BASE_: "\\ud800"')
    with pytest.raises(ConfigError, match="x.yaml:1: _BASE_ is a path"):
        get_cfg().merge_from_file(path)


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "/dev/null"])
def test_pipes_and_devices_are_not_waited_for(box, name):
    path = write(box, f"_BASE_: {name}")
    os.mkfifo(box.run / "pipe")
    assert observe(lambda: get_cfg().merge_from_file(path), (ConfigError,), box) == "ConfigError"


UNITS = ("? ", "[", "- ", "a: ", "'", '"\\', "# ", "|\n ", "%", "\n\n", "&a ", "{a,", "x" * 999 + ":")


@pytest.mark.parametrize("unit", UNITS)
def test_a_large_file_of_one_thing_takes_seconds(box, unit):
    path = write(box, "A:\n " + unit * (MAX_BYTES // len(unit) - 1))
    observe(lambda: load_yaml(path), (ConfigError,), box, repr(unit))
