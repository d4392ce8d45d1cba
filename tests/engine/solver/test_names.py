import pytest

from steploop.engine.solver.names import look_up


def test_a_name_is_looked_up():
    assert look_up("A.B", "one", {"one": 1, "two": 2}) == 1


def test_an_unknown_name_is_an_error_that_lists_the_known_and_the_nearest():
    with pytest.raises(KeyError) as error:
        look_up("A.B", "onee", {"one": 1, "two": 2})
    assert str(error.value) == "A.B: unknown name 'onee'; did you mean 'one'? Known: one, two"
