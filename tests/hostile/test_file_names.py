import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import CORRECT, FILE_NAMES, observe, tally
from steploop.projects.reid.data.market1501 import FOLDERS, read_market1501

TEXTS = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60)
NUMBERED = st.builds("{}_c{}{}.jpg".format, st.integers(), st.integers(), st.text("._cs0123456789-jpg", max_size=9))


def can_exist(name):
    """Whether a file system takes the name: bytes that are no UTF-8 pass, as Python's own stand-ins for them."""
    try:
        return name not in (".", "..") and len(os.fsencode(name)) <= 255
    except UnicodeEncodeError:
        return False


NAMES = st.one_of(TEXTS, NUMBERED).filter(can_exist)


def market(folder, *extra):
    for name in FOLDERS:
        (folder / name).mkdir()
        for file in ("0001_c1s1_000001_00.jpg", *extra):
            (folder / name / file).touch()
    return folder


def test_mutated_names(box):
    outcomes = tally(FILE_NAMES, box, 200)
    assert outcomes[CORRECT] > 40 and outcomes["ValueError"] > 100 and outcomes["FileNotFoundError"] > 3


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_any_name(box, name):
    folder = market(box.clear(), name)
    observe(lambda: read_market1501(folder), (ValueError,), box, repr(name))


@pytest.mark.parametrize("name", [f"{2**63}_c1.jpg", f"1_c{2**63}.jpg"])
def test_numbers_that_no_tensor_can_hold(tmp_path, name):
    # They came through, and became an error of torch's in the middle of an evaluation.
    with pytest.raises(ValueError, match="too large"):
        read_market1501(market(tmp_path, name))


def test_the_largest_numbers(tmp_path):
    train, _, _ = read_market1501(market(tmp_path, f"{2**63 - 1}_c{2**63 - 1}.jpg"))
    assert (train[1].pid, train[1].camid) == (2**63 - 1, 2**63 - 2)


def test_a_folder_that_is_called_like_an_image(tmp_path):
    # It was an item of the data set.
    market(tmp_path)
    for name in FOLDERS:
        (tmp_path / name / "0002_c1.jpg").mkdir()
        (tmp_path / name / "0002_c1.jpg" / "0003_c1.jpg").touch()
    assert [len(items) for items in read_market1501(tmp_path)] == [1, 1, 1]
