"""Writers by their names: built-in ones, those of other packages, and those of a module."""

import re
import sys
from pathlib import Path

import pytest

from steploop.config import get_cfg
from steploop.engine import CommonMetricPrinter, CSVWriter, JSONWriter, TensorboardXWriter, build_writers
from tiny_project import TinyTrainer, tiny_cfg

DOCS = Path(__file__).parents[4] / "docs/writers.md"
PLUGIN = """
from steploop.engine import EventWriter

class Writer(EventWriter):
    def __init__(self, cfg):
        self.folder = cfg.OUTPUT_DIR

def no_writer(cfg):
    return "a str"

def lacks_a_package(cfg):
    import no_such_package
"""


def cfg_with(tmp_path, *names):
    cfg = get_cfg()
    cfg.OUTPUT_DIR = str(tmp_path / "run")
    cfg.WRITERS = names
    cfg.freeze()
    return cfg


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with a module, the entry points {name: place} and an extra, as pip would."""

    def install(package, **places):
        site = tmp_path / package
        info = site / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nProvides-Extra: more\n")
        lines = [f"{name} = {place}" for name, place in places.items()]
        (info / "entry_points.txt").write_text("\n".join(["[steploop.writers]", *lines]))
        (site / f"{package}_module.py").write_text(PLUGIN)
        monkeypatch.syspath_prepend(site)

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if name.endswith("_module"):
            del sys.modules[name]


def test_by_default_they_are_those_of_detectron2(tmp_path):
    cfg = cfg_with(tmp_path, *get_cfg().WRITERS)
    assert [type(writer) for writer in build_writers(cfg)] == [CommonMetricPrinter, JSONWriter, TensorboardXWriter]
    assert (tmp_path / "run").is_dir()


def test_the_order_is_kept(tmp_path):
    writers = build_writers(cfg_with(tmp_path, "csv", "tensorboard", "console"))
    assert [type(writer) for writer in writers] == [CSVWriter, TensorboardXWriter, CommonMetricPrinter]


def test_a_run_writes_what_its_config_names(tmp_path):
    TinyTrainer(tiny_cfg(tmp_path / "run", "WRITERS", "['csv']")).train()
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "metrics.csv" in names
    assert not [name for name in names if name == "metrics.json" or name.startswith("events")]


def test_a_plugin_is_imported_only_when_it_is_chosen(tmp_path, install):
    install("acme", acme="acme_module:Writer")
    build_writers(cfg_with(tmp_path, "json"))
    assert "acme_module" not in sys.modules
    _, writer = build_writers(cfg_with(tmp_path, "json", "acme"))
    assert type(writer).__name__ == "Writer"
    assert writer.folder == str(tmp_path / "run")


def test_a_place_is_a_name(tmp_path, install):
    install("acme")
    (writer,) = build_writers(cfg_with(tmp_path, "acme_module:Writer"))
    assert type(writer).__module__ == "acme_module"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("jsn", "'jsn'; did you mean 'json'?"),
        ("ACME", "'ACME'; did you mean 'acme'?"),
        ("no place:at all", "'no place:at all'. "),
        (7, "'7'. "),
        (["console"], """\"['console']\""""),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path, install, name, hint):
    install("acme", acme="acme_module:Writer", acme2="acme_module:Writer")
    with pytest.raises(ValueError, match=r"^WRITERS: unknown writer ") as caught:
        build_writers(cfg_with(tmp_path, "json", name))
    assert f"unknown writer {hint}" in str(caught.value)
    assert "console, json, csv, tensorboard" in str(caught.value)
    assert re.search(r"\bacme, acme2\b", str(caught.value))
    assert not (tmp_path / "run").exists()


def test_a_name_of_two_packages_is_not_chosen_at_random(tmp_path, install):
    install("acme", table="acme_module:Writer")
    install("other", table="other_module:Writer")
    with pytest.raises(ValueError, match="WRITERS: several packages have a writer 'table'") as caught:
        build_writers(cfg_with(tmp_path, "table"))
    assert "acme_module:Writer" in str(caught.value) and "other_module:Writer" in str(caught.value)


def test_a_name_that_comes_twice_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="WRITERS names json twice"):
        build_writers(cfg_with(tmp_path, "json", "console", "json"))


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("acme_module:lacks_a_package", "No module named 'no_such_package'"),
        ("acme_module:Wrter", "has no attribute 'Wrter'"),
        ("acme_mdule:Writer", "No module named 'acme_mdule'"),
    ],
)
def test_what_cannot_be_imported_names_the_package_and_its_extras(tmp_path, install, place, reason):
    install("acme", acme=place)
    with pytest.raises(RuntimeError, match="WRITERS: 'acme' cannot be imported: ") as caught:
        build_writers(cfg_with(tmp_path, "acme"))
    assert reason in str(caught.value)
    assert "the package acme (extras: more)" in str(caught.value)
    with pytest.raises(RuntimeError, match="on PYTHONPATH"):
        build_writers(cfg_with(tmp_path, place))


def test_what_is_no_writer_is_refused(tmp_path, install):
    install("acme", acme="acme_module:no_writer")
    with pytest.raises(TypeError, match="WRITERS: 'acme' must make an EventWriter of a config; it made a str"):
        build_writers(cfg_with(tmp_path, "acme"))


def test_a_resumed_run_may_have_other_writers(tmp_path):
    folder = tmp_path / "run"
    stopped = TinyTrainer(tiny_cfg(folder))
    stopped.train()
    before = (folder / "metrics.json").read_text()
    (folder / "metrics.json").write_text(before + '{"iteration": 99}\n')
    resumed = TinyTrainer(tiny_cfg(folder, "WRITERS", "('csv', 'json')", "SOLVER.MAX_ITER", 12))
    resumed.resume_or_load()
    resumed.train()
    text = (folder / "metrics.json").read_text()
    assert text.startswith(before) and '"iteration": 99' not in text


def test_the_writer_of_the_documentation_runs(tmp_path, monkeypatch):
    found = re.search(r"^<!-- example: writer -->\n```python\n(.*?)^```$", DOCS.read_text(), re.M | re.S)
    (tmp_path / "my_writers.py").write_text(found[1])
    monkeypatch.syspath_prepend(tmp_path)
    TinyTrainer(tiny_cfg(tmp_path / "run", "WRITERS", "('my_writers:table_writer',)")).train()
    lines = (tmp_path / "run/metrics.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines if "total_loss" in line] == [f"| {step}" for step in (1, 3, 5, 7, 9)]
    del sys.modules["my_writers"]
