import gzip
import json
import os
from pathlib import Path

import pytest

from shared_files import shared
from steploop.config import ConfigError, load_python_config
from steploop.config.python_config import MAX_CHAIN


def files(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return folder / f"{next(iter(texts))}.py"


def read(folder, text, **others):
    return load_python_config(files(folder, top=text, **others))


def test_values(tmp_path):
    text = """
'''A docstring.'''
lr, = 1,
"""
    with pytest.raises(ConfigError, match=r"top.py:3: `\(lr,\)` \(Tuple\) is not accepted"):
        read(tmp_path, text)
    text = """
'''A docstring.'''
norm = dict(type='BN', requires_grad=True)
model = dict(norm=norm, sizes=[(1333, 800), -1], **norm)
model['depth'] = 2 * (3 + 4) // 3 - 1
keys = {f'stage{i}.{j}': i / 2 for i, n in enumerate([1, 2]) for j in range(n)}
keys.update({'more': len(keys)})
keys.update(extra=None)
flags = {i: 1 + int(i >= 2) for i in range(4) if i != 3}
picked = [value * 'ab' for value in model['sizes'][1:2]] if False else 0
"""
    with pytest.raises(ConfigError, match="IfExp"):
        read(tmp_path, text)
    config = read(tmp_path, text.rpartition("\npicked")[0])
    assert config["model"] == {
        "norm": {"type": "BN", "requires_grad": True},
        "sizes": [(1333, 800), -1],
        "type": "BN",
        "requires_grad": True,
        "depth": 3,
    }
    assert config["keys"] == {"stage0.0": 0.0, "stage1.0": 0.5, "stage1.1": 0.5, "more": 3, "extra": None}
    assert config["flags"] == {0: 1, 1: 1, 2: 2}


def test_shared_objects_are_python_s_but_the_result_s_are_not(tmp_path):
    config = read(tmp_path, "a = dict(x=1)\nb = dict(first=a, second=a)\na.update(dict(x=2))")
    assert config["b"] == {"first": {"x": 2}, "second": {"x": 2}}
    config["b"]["first"]["x"] = 3
    assert config["b"]["second"]["x"] == 2


@pytest.mark.parametrize(
    "construct",
    [
        "import os",
        "from os import path",
        "a = __name__",
        "__a = 1",
        "a = open('x')",
        "a = eval('1')",
        "a = dict.fromkeys([1])",
        "a = ''.join([])",
        "a = (lambda: 1)()",
        "a = 2 ** 3",
        "a = 7 % 3",
        "a = 1 if True else 2",
        "a = [1, 2][0:1]",
        "a = {1, 2}",
        "a = b'bytes'",
        "a = 1j",
        "a = ...",
        "a = not 1",
        "a = f'{1:.2f}'",
        "a = f'{[1]}'",
        "a: int = 1",
        "a += 1",
        "a = b = 1",
        "def f(): pass",
        "for i in [1]: a = i",
        "if 1: a = 1",
        "a = print",
        "a = dict(x=1).items",
        "a = [*[1, 2]]",
        "a = (i for i in [1])",
        "a = 1 in [1]",
        "a = [1] == [1]",
        "a = int('7', 16)",
        "a = {}\na.clear()",
        "a = []\na.append(1)",
    ],
)
def test_nothing_else_is_accepted(tmp_path, construct):
    line = construct.count("\n") + 1
    with pytest.raises(ConfigError, match=rf"top.py:{line}: "):
        read(tmp_path, construct)


@pytest.mark.parametrize(
    "bomb",
    [
        "a = [0] * 10**10",
        "a = [0] * 10000000000",
        "a = 9999999999 * [0]",
        "a = 'x' * 10000000000",
        "a = [i for i in range(10000000000)]",
        "a = range(10000000000)",
        "a = [[j for j in range(99999)] for i in range(99999)]",
        "a = 2\n" + "a = a * a\n" * 40,
        "a = 'ab'\n" + "a = a + a\n" * 40,
        "a = [0]\n" + "a = a + a\n" * 40,
        "a = [0]\n" + "a = [a, a]\n" * 40,
        "a = dict()\na.update(dict(a=a))",
        "a = 1 / 0",
        "a = 10.0\n" + "a = a * a\n" * 12 + "b = int(a)",
        "a = " + "9" * 5000,
        "a = " + "[" * 150 + "]" * 150,
        "a = [[0] * 99999 for i in range(99999)]",
        "a = ['x' * 999999 for i in range(99999)]",
        "a = 'x' * 999999\nb = [f'{a}{a}' for i in range(99999)]",
        "a = " + "-" * 5000 + "1",
        "a = " + "+".join(["1"] * 5000),
        "a = '\0'",
        "a = [1][5]",
        "a = dict(x=1)['y']",
        "a = {[]: 1}",
        "a = 'a' + 1",
        "a = int('x')",
        "a = len(1)",
        "a = range('x')",
        "a = [i for i, j in [1]]",
        "a = [i for i in 5]",
    ],
)
def test_bounds(tmp_path, bomb):
    with pytest.raises(ConfigError, match=r"top.py"):
        read(tmp_path, bomb)


def test_bases(tmp_path):
    config = read(
        tmp_path,
        "_base_ = ['./one.py', 'two.py']\nmodel = dict(head=dict(num=3), neck=dict(_delete_=True, type='B'))\n"
        "steps = [1]",
        one="model = dict(type='M', head=dict(num=80, dim=4), neck=dict(type='A', dim=2))\nsteps = [8, 11]",
        two="lr = 0.1",
    )
    assert config == {
        "model": {"type": "M", "head": {"num": 3, "dim": 4}, "neck": {"type": "B"}},
        "steps": [1],
        "lr": 0.1,
    }


def test_mistakes_with_bases(tmp_path):
    with pytest.raises(ConfigError, match="two files of _base_ define lr"):
        read(tmp_path, "_base_ = ['one.py', 'two.py']", one="lr = 1", two="lr = 2")
    with pytest.raises(ConfigError, match=r"model.neck is a dict and would be merged into None.*_delete_=True"):
        read(tmp_path, "_base_ = 'one.py'\nmodel = dict(neck=dict(a=1))", one="model = dict(neck=None)")
    with pytest.raises(ConfigError, match=r"circle: \S*one.py -> \S*two.py -> \S*one.py"):
        load_python_config(files(tmp_path, one="_base_ = 'two.py'", two="_base_ = 'one.py'"))
    with pytest.raises(FileNotFoundError, match=r"_base_ of \S*top.py names it.*gone.py"):
        read(tmp_path, "_base_ = './gone.py'")
    with pytest.raises(ConfigError, match=r"top.py:1: _base_ is a path or a list of paths; came the int 5"):
        read(tmp_path, "_base_ = 5")
    with pytest.raises(IsADirectoryError):
        load_python_config(tmp_path)
    chain = {f"f{i}": f"_base_ = 'f{i + 1}.py'" for i in range(MAX_CHAIN + 1)}
    with pytest.raises(ConfigError, match=f"more than {MAX_CHAIN} files deep"):
        load_python_config(files(tmp_path, **chain))
    doubling = {f"g{i}": f"_base_ = ['g{i + 1}.py', 'g{i + 1}.py']" for i in range(MAX_CHAIN - 1)}
    with pytest.raises(ConfigError, match="more than 64 files"):
        load_python_config(files(tmp_path, **doubling, **{f"g{MAX_CHAIN - 1}": ""}))


def test_templates(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPLOOP_TEST_DATA", "/data")
    config = read(
        tmp_path,
        "_base_ = 'base.py'\nwork_dir = '{{ fileDirname }}/{{fileBasenameNoExtension}}{{ fileExtname }}'\n"
        "copied = {{_base_.model.head}}\nnumber = '{{ _base_.model.head.num }}'\ntext = 'n{{_base_.model.head.num}}'\n"
        "root = '{{$STEPLOOP_TEST_DATA:none}}/{{ $STEPLOOP_TEST_NONE:coco }}'\nbare = {{$STEPLOOP_TEST_NONE:80}}\n"
        "quoted = {{'$STEPLOOP_TEST_NONE:7'}}\nother = '{{ untouched }}'",
        base="model = dict(head=dict(num=3))",
    )
    assert config["work_dir"] == f"{tmp_path}/top.py"
    assert config["copied"] == {"num": 3} and config["number"] == 3 and config["text"] == "n3"
    assert config["root"] == "/data/coco" and config["bare"] == 80 and config["quoted"] == 7
    assert config["other"] == "{{ untouched }}"
    with pytest.raises(ConfigError, match=r"_base_.model.neck: the bases have no 'neck'"):
        read(tmp_path, "_base_ = 'base.py'\na = {{_base_.model.neck}}")
    with pytest.raises(ConfigError, match="STEPLOOP_TEST_NONE is not set"):
        read(tmp_path, "a = '{{$STEPLOOP_TEST_NONE:}}'")


def test_not_python(tmp_path):
    with pytest.raises(ConfigError, match=r"top.py:2: .*is it a Python config"):
        read(tmp_path, "a = 1\nMODEL: {")
    (tmp_path / "bytes.py").write_bytes(b"a = 1\nb = '\xff'")
    with pytest.raises(ConfigError, match=r"bytes.py:2: not UTF-8"):
        load_python_config(tmp_path / "bytes.py")
    (tmp_path / "large.py").write_text("#" * (2**20 + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load_python_config(tmp_path / "large.py")


def _golden():
    with gzip.open(shared("golden/mm_configs.json.gz"), "rt") as stream:
        return {name: _untagged(config) for name, config in json.load(stream).items()}


def _untagged(value):
    if isinstance(value, dict):
        if set(value) == {"__tuple__"}:
            return tuple(_untagged(item) for item in value["__tuple__"])
        return {key: _untagged(item) for key, item in value.items()}
    return [_untagged(item) for item in value] if isinstance(value, list) else value


def _string_keys(value):
    if isinstance(value, dict):
        return {str(key): _string_keys(item) for key, item in value.items()}
    return type(value)(map(_string_keys, value)) if isinstance(value, list | tuple) else value


def test_reads_what_it_wrote(tmp_path):
    for name, config in _golden().items():
        text = "\n".join(f"{key} = {value!r}" for key, value in config.items())
        assert read(tmp_path, text) == config, name


def test_published_files_as_mmengine_reads_them():
    folder = os.environ.get("STEPLOOP_MM_CONFIGS")
    if not folder:
        pytest.skip("set STEPLOOP_MM_CONFIGS to the folder of the unpacked mmdet and mmaction2 wheels")
    for name, config in _golden().items():
        assert _string_keys(load_python_config(Path(folder) / name)) == config, name
    for file in Path(folder).glob("*/*/.mim/configs/**/*.py"):
        load_python_config(file)
