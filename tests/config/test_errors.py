import pytest

from steploop.config.errors import UnknownKeyError, nearest, show, unknown

KNOWN = ["SOLVER", "SOLVER.BASE_LR", "SOLVER.MAX_ITER", "TEST.IMS_PER_BATCH", "SOLVER.IMS_PER_BATCH", "SOLVER.ADAM.LR"]


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("SOLVER.BASE_LRR", "SOLVER.BASE_LR"),
        ("solver.base_lr", "SOLVER.BASE_LR"),
        ("BASE_LR", "SOLVER.BASE_LR"),
        ("MODEL.MAX_ITER", "SOLVER.MAX_ITER"),
        ("SOLVR", "SOLVER"),
        ("LR", "SOLVER.ADAM.LR"),
        ("SOLVER.IMS_PER_BACH", "SOLVER.IMS_PER_BATCH"),
        ("QQQ", None),
        ("Q" * 1_000_000, None),
    ],
)
def test_nearest(name, close):
    assert nearest(name, KNOWN) == close


def test_key_error_prints_as_it_was_written():
    assert str(UnknownKeyError('it\'s\n"two" lines')) == 'it\'s\n"two" lines'
    assert isinstance(UnknownKeyError("x"), KeyError)


def test_show_is_short():
    assert show(None) == "None"
    assert show(3) == "the int 3"
    assert show("x") == "the str 'x'"
    assert len(show("x" * 10_000)) < 120
    assert len(show([[0] * 100] * 100)) < 400
    assert "too large to show" in show(1 << 100_000)


def test_an_unknown_name_is_answered_with_the_nearest_and_the_known():
    assert unknown("norm", "gn", ["BN", "GN"]) == "unknown norm 'gn'; did you mean 'GN'? Known: BN, GN"
    assert unknown("norm", "x", ["BN", "GN"]) == "unknown norm 'x'. Known: BN, GN"
    assert unknown("norm", "x", []) == "unknown norm 'x'. Known: nothing yet"


def test_of_many_names_the_first_level_is_listed():
    many = ["head", "body", *(f"body.{n}" for n in range(20))]
    assert unknown("module", "x", many) == "unknown module 'x'. Known: head, body"
    assert unknown("module", "haed", many) == "unknown module 'haed'; did you mean 'head'?"
    assert len(unknown("module", "x" * 10_000, many)) < 300
