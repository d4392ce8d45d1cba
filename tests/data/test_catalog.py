from pathlib import Path

import pytest

from steploop.data import Catalog, datasets_root


def test_names_stand_for_functions_that_are_called_when_asked():
    catalog = Catalog()
    calls = []
    catalog.register("b", lambda: calls.append(1) or "set b")
    catalog.register("a", lambda: "set a")
    assert not calls
    assert catalog.get("b") == "set b"
    assert catalog.list() == ["a", "b"] and "a" in catalog
    catalog.remove("a")
    assert "a" not in catalog


def test_errors_name_what_is_known():
    catalog = Catalog()
    catalog.register("market1501", list)
    with pytest.raises(KeyError, match="did you mean 'market1501'"):
        catalog.get("market1502")
    with pytest.raises(ValueError, match="registered already"):
        catalog.register("market1501", list)
    with pytest.raises(TypeError, match="function without arguments, got list"):
        catalog.register("x", [])


def test_the_root_is_an_environment_variable(monkeypatch):
    monkeypatch.setenv("STEPLOOP_DATASETS", "/somewhere")
    assert datasets_root() == Path("/somewhere")
    monkeypatch.delenv("STEPLOOP_DATASETS")
    assert datasets_root() == Path("datasets")
