import math
from pathlib import Path

import pytest

from steploop.config import ConfigError, load_yaml
from steploop.config.safe_yaml import MAX_BYTES, MAX_DEPTH, dump_yaml, parse_yaml, read_yaml


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(folder: Path, text: str | bytes) -> str:
    """Return the error's text, which must start with the file."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    message = str(caught.value)
    assert message.startswith(f"{path}")
    return message.removeprefix(str(path))


def test_plain_data(tmp_path):
    text = """
A: {B: 1, C: [1, 2.5, x]}
D: (10, 20)
E: 3e-4
F: "3e-4"
G: None
H:
I: true
J: .inf
K: 1_000
L: 'it''s'
M: [1e-3, -2E+2, 1.e3, .5]
"""
    assert load_yaml(write(tmp_path, text)) == {
        "A": {"B": 1, "C": [1, 2.5, "x"]},
        "D": (10, 20),
        "E": 3e-4,
        "F": "3e-4",
        "G": None,
        "H": None,
        "I": True,
        "J": math.inf,
        "K": 1000,
        "L": "it's",
        "M": [1e-3, -200.0, 1000.0, 0.5],
    }


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "NO", "012", "1:30", "2024-01-01", "=", "<<", "(see docs)"])
def test_surprises_of_yaml_1_1_stay_text(text):
    assert parse_yaml(f"A: {text}", "x")[0] == {"A": text}


def test_lines(tmp_path):
    path = write(tmp_path, "# a comment\nA:\n  B: 1\n\n  C: {D: 2}\n")
    assert read_yaml(path)[1] == {("A",): 2, ("A", "B"): 3, ("A", "C"): 5, ("A", "C", "D"): 5}


def test_byte_order_mark(tmp_path):
    assert load_yaml(write(tmp_path, b"\xef\xbb\xbfA: 1")) == {"A": 1}


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system ['false']", "!!python/name:os.system", "!!int 3", "!mine x", "! x", "!!set {}"],
)
def test_tags_are_refused(tmp_path, tag):
    assert refused(tmp_path, f"A: 1\nB: {tag}\n").startswith(f":2: tags ({tag.split()[0]}) are not allowed")


def test_a_tag_on_the_document_is_refused(tmp_path):
    assert "tags" in refused(tmp_path, "!!map {A: 1}")


def test_alias_bomb_is_refused_at_its_first_anchor(tmp_path):
    levels = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    levels += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefghi", "bcdefghij", strict=True)]
    bomb = "\n".join(levels)
    assert 400 < len(bomb) < 600
    assert refused(tmp_path, bomb) == ":1: anchors and aliases (&a) are not allowed; write the value out"
    assert refused(tmp_path, "A: *a").startswith(":1: anchors and aliases (*a)")
    assert refused(tmp_path, "A: &a\n  <<: *a").startswith(":1: anchors")


def test_duplicate_key(tmp_path):
    assert refused(tmp_path, "A:\n  B: 1\n  C: 2\n  B: 3\n") == ":4: the key B was given before, in line 2; remove one"


@pytest.mark.parametrize("key", ["1", "true", "null", "3e-4", "[a]", "{a: 1}"])
def test_keys_are_strings(tmp_path, key):
    message = refused(tmp_path, f"A: 1\n? {key}\n: x\n")
    assert message.startswith(":2: the key") and "put it in quotes" in message


@pytest.mark.parametrize(
    ("text", "found"),
    [("", "nothing"), ("# only a comment\n", "nothing"), ("[1]", "a list"), ("abc", "a single value")],
)
def test_top_level_is_a_mapping(tmp_path, text, found):
    assert f"expected a mapping (KEY: value), found {found}" in refused(tmp_path, text)


def test_size(tmp_path):
    fits = "A: 1\n" + "#" * (MAX_BYTES - 5)
    assert load_yaml(write(tmp_path, fits)) == {"A": 1}
    assert "1,048,576 bytes" in refused(tmp_path, fits + "#")


@pytest.mark.parametrize(("left", "right"), [("[", "]"), ("{a: ", "}")])
def test_depth(tmp_path, left, right):
    def nested(levels: int) -> str:
        return f"A:\n  {left * levels}x{right * levels}"

    # The file itself and x are levels too.
    load_yaml(write(tmp_path, nested(MAX_DEPTH - 2)))
    for levels in (MAX_DEPTH - 1, 100_000):
        assert f"nested more than {MAX_DEPTH} levels deep" in refused(tmp_path, nested(levels))


@pytest.mark.parametrize("text", ["A: " + "".join("\n" + " " * i + "-" for i in range(600)), "? " * 100_000])
def test_depth_of_indented_lists_and_of_keys(tmp_path, text):
    assert f"nested more than {MAX_DEPTH} levels deep" in refused(tmp_path, text)


def test_not_utf8(tmp_path):
    assert refused(tmp_path, b"A: 1\nB: \xff\n").startswith(":2: not UTF-8 text (byte 8)")
    assert "not UTF-8" in refused(tmp_path, "A: 1".encode("utf-16"))


def test_nul_and_control_characters(tmp_path):
    assert refused(tmp_path, "A: 1\nB: a\0b\n").startswith(":2: the character U+0000 is not allowed")
    assert refused(tmp_path, "A: \x1b").startswith(":1: the character U+001B")
    assert load_yaml(write(tmp_path, 'A: "\\0"')) == {"A": "\0"}


@pytest.mark.parametrize(
    "text", ["A: [1", "A: 1\n B: 2", "A:\tx\n\t- b", "A: 'x", "%YAML 9.0\n---\nA: 1", "A: 1\n---\nB: 2"]
)
def test_bad_syntax_names_the_line(tmp_path, text):
    assert refused(tmp_path, text)[1].isdigit()


def test_numbers_too_long(tmp_path):
    assert refused(tmp_path, "A: 1\nB: " + "9" * 5000).startswith(":2: a number of too many digits")
    assert refused(tmp_path, "A: 0x" + "f" * 5000).startswith(":1: the value is an int of more than 4096 bits")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.yaml"):
        load_yaml(tmp_path / "nothing.yaml")
    with pytest.raises(IsADirectoryError, match="this is a folder"):
        load_yaml(str(tmp_path))


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "A: 1")
    assert load_yaml("~/x.yaml") == {"A": 1}


def test_dump_quotes_what_would_be_read_as_something_else():
    texts = [
        "3e-4",
        "(1, 2)",
        "None",
        "nan",
        "yes",
        "1",
        "",
        "~",
        "0o7",
        "true",
        "!x",
        "&x",
        "*x",
        "a: b",
        "# c",
        "é\n",
    ]
    assert parse_yaml(dump_yaml({"A": texts}), "x")[0] == {"A": texts}


def test_dump_writes_no_anchors():
    shared = [1, 2]
    assert parse_yaml(dump_yaml({"A": shared, "B": shared}), "x")[0] == {"A": [1, 2], "B": [1, 2]}
