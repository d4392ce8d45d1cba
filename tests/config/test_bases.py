import pytest

from steploop.config import ConfigError
from steploop.config.bases import MAX_CHAIN, MAX_FILES, load_layers


def files(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{next(iter(texts))}.yaml"


def names(layers):
    return [layer.source.rpartition("/")[2] for layer in layers]


def test_bases_come_first_in_their_order(tmp_path):
    top = files(tmp_path, top="_BASE_: [a.yaml, b.yaml]\nX: 1", a="_BASE_: c.yaml", b="X: 2", c="X: 3")
    layers = load_layers(top)
    assert names(layers) == ["c.yaml", "a.yaml", "b.yaml", "top.yaml"]
    assert layers[-1].values == {"X": 1} and layers[-1].at(("X",)) == f"{top}:2"


def test_relative_absolute_and_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in ("home", "in", "else"):
        (tmp_path / folder).mkdir()
        files(tmp_path / folder, base=f"X: {folder}")
    bases = f"[../base.yaml, ~/base.yaml, {tmp_path}/else/base.yaml]"
    files(tmp_path, base="X: outer")
    top = files(tmp_path / "in", top=f"_BASE_: {bases}")
    assert [layer.values for layer in load_layers(top)] == [{"X": "outer"}, {"X": "home"}, {"X": "else"}, {}]


def test_circle_is_named(tmp_path):
    top = files(tmp_path, a="_BASE_: b.yaml", b="_BASE_: c.yaml", c="_BASE_: ./a.yaml")
    with pytest.raises(ConfigError, match=r"circle: \S*/a.yaml -> \S*/b.yaml -> \S*/c.yaml -> \S*/a.yaml"):
        load_layers(top)
    with pytest.raises(ConfigError, match=r"circle: \S*/self.yaml -> \S*/self.yaml"):
        load_layers(files(tmp_path, self="_BASE_: self.yaml"))


def test_circle_through_another_name_of_a_file(tmp_path):
    top = files(tmp_path, a="_BASE_: link.yaml")
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    with pytest.raises(ConfigError, match=r"circle: \S*/a.yaml -> \S*/link.yaml;"):
        load_layers(top)


def test_one_base_of_two_files_is_no_circle(tmp_path):
    top = files(tmp_path, top="_BASE_: [a.yaml, b.yaml]", a="_BASE_: c.yaml", b="_BASE_: c.yaml", c="X: 1")
    assert names(load_layers(top)) == ["c.yaml", "a.yaml", "c.yaml", "b.yaml", "top.yaml"]


def test_length_of_a_chain(tmp_path):
    files(tmp_path, **{f"f{i}": f"_BASE_: f{i + 1}.yaml" for i in range(MAX_CHAIN)}, **{f"f{MAX_CHAIN}": "X: 1"})
    assert len(load_layers(tmp_path / "f1.yaml")) == MAX_CHAIN
    with pytest.raises(ConfigError, match=f"more than {MAX_CHAIN} files deep: .*f0.yaml -> "):
        load_layers(tmp_path / "f0.yaml")


def test_number_of_files(tmp_path):
    doubling = {f"f{i}": f"_BASE_: [f{i + 1}.yaml, f{i + 1}.yaml]" for i in range(MAX_CHAIN - 1)}
    top = files(tmp_path, **doubling, **{f"f{MAX_CHAIN - 1}": "X: 1"})
    with pytest.raises(ConfigError, match=f"more than {MAX_FILES} files"):
        load_layers(top)


def test_missing_base_says_who_wants_it(tmp_path):
    top = files(tmp_path, top="_BASE_: gone.yaml")
    with pytest.raises(FileNotFoundError, match=r"_BASE_ of \S*top.yaml names it.*gone.yaml"):
        load_layers(top)
    with pytest.raises(IsADirectoryError, match=r"_BASE_ of \S*top.yaml"):
        load_layers(files(tmp_path, top="_BASE_: .."))


def test_link_to_itself_and_unknown_user(tmp_path):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for base in ("loop.yaml", "~nobody-of-this-name/x.yaml"):
        with pytest.raises(FileNotFoundError, match="no such YAML file"):
            load_layers(files(tmp_path, top=f"_BASE_: {base}"))


@pytest.mark.parametrize("base", ["3", '"a\\0b"', "{a: b}", "[a.yaml, 1]", "''", "null"])
def test_base_is_a_path(tmp_path, base):
    with pytest.raises(ConfigError, match=r"top.yaml:2: _BASE_ is a path or a list of paths"):
        load_layers(files(tmp_path, top=f"X: 1\n_BASE_: {base}"))
