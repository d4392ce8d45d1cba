"""What a resumed run reads in OUTPUT_DIR beside its checkpoints."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from steploop.config import ConfigError, diff_configs, format_diff, get_cfg, load_yaml
from steploop.engine.checkpoint.resume import holds_checkpoint
from steploop.engine.defaults.records import load_results
from steploop.engine.metrics.writers.json_lines import cut_lines
from steploop.engine.run.folder import LOCK, PREVIOUS, start_run
from steploop.engine.run.lock import FolderLock

from .harness import Kind
from .mutations import mutate_bytes, odd_text, pick

JSON = (
    b"[" * 3000, b'{"a":' * 3000, b"null", b"true", b"NaN", b"-Infinity", b"9" * 5000, b"1e999",
    b'"iteration": ', b"{}", b"[]",
    b'"\\ud800"', b"\xff", b"\xef\xbb\xbf", b"\n", b"\r", b"\0", b",", b":", b'"', b"}", b"{", b"3", b"-1",
    b"3.0", b"\xe2\x80\xa8",
)  # fmt: skip
YAML = (b"!!python/object/apply:os.system [touch ran]", b"&a [*a]", b": ", b"\n", b"SEED: -1", b'"\\UFFFFFFFF"')
STARTED = (
    "../../outside", "../../../escaped", "/tmp/../escaped", "..", ".", "", "x/y", "\0", "n" * 300, 3, None, [],
    {}, 1e999,
    "2030-01-02T12:00:00", "2030-01-02", "2030-01-02T12:00:00+01:00", "9999-99-99", "\ud800", "outside",
)  # fmt: skip
MANIFEST = b'{"started": "2030-01-02T12:00:00", "pid": 3}\n'
RESULTS = b'{"iteration": 7, "results": {"task": {"metric": 1.5}}}\n'
HOLDER = b'{"host": "x", "pid": 3, "since": "2030-01-02"}'


def prepare_metrics(folder: Path, rng: np.random.Generator) -> Callable[[], object]:
    """Write a metrics file that is cut short, harmed, or has lines from after the checkpoint."""
    path = folder / "metrics.json"
    lines = [json.dumps({"iteration": i, "loss": i / 3, "lr": 1e-3}).encode() + b"\n" for i in range(0, 60, 5)]
    before = mutate_bytes(b"".join(lines), rng, JSON)
    path.write_bytes(before)
    last = int(rng.integers(-1, 70))

    def cut() -> None:
        cut_lines(path, last)
        after = path.read_bytes()
        assert after == whole_lines(before, last), "another part than the whole lines before the checkpoint is left"

    return cut


def whole_lines(data: bytes, last: int) -> bytes:
    """Return what must be left, by another way than the source's."""
    kept = b""
    while (end := data.find(b"\n")) >= 0:
        line, data = data[: end + 1], data[end + 1 :]
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if (
            not isinstance(row, dict)
            or not isinstance(row.get("iteration"), int | float)
            or not row["iteration"] <= last
        ):
            break
        kept += line
    return kept


def prepare_records(folder: Path, rng: np.random.Generator) -> Callable[[], object]:
    """Write a run's folder whose small files are harmed, or no files."""
    started = json.dumps({"started": pick(STARTED, rng)}).encode()
    manifest = started if rng.random() < 0.5 else mutate_bytes(MANIFEST, rng, JSON)
    config = get_cfg().dump().encode()[: int(rng.integers(1, 600))]
    _write(folder / "manifest.json", manifest, rng)
    _write(folder / "results.json", mutate_bytes(RESULTS, rng, JSON), rng)
    _write(
        folder / "config.yaml",
        mutate_bytes(config, rng, (b"!!python/object/apply:os.system [touch ran]", b"&a [*a]")),
        rng,
    )
    _write(folder / "last_checkpoint", odd_text(rng).encode(), rng)
    (folder / LOCK).write_bytes(mutate_bytes(HOLDER, rng, JSON))
    (folder / "metrics.json").write_text("old")
    return lambda: _resume(folder)


def _write(path: Path, data: bytes, rng: np.random.Generator) -> None:
    match rng.integers(20):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(pick(("missing", path.name, "/dev/null"), rng))
        case 3:
            return
        case _:
            path.write_bytes(data)


def _resume(folder: Path) -> None:
    """Do what a run that resumes, and then one that starts anew, do with the files."""
    with FolderLock(folder):
        assert holds_checkpoint(folder) == (folder / "last_checkpoint").exists()
        results = load_results(folder, 7)
        assert results is None or isinstance(results, dict)
        _config_changes(folder / "config.yaml")
        before = sorted(path.name for path in folder.iterdir() if path.name != LOCK)
        moved = start_run(folder)
        assert moved is not None and moved.parent == folder / PREVIOUS
        assert sorted(path.name for path in moved.iterdir()) == before, "a file of the older run is lost"
        assert sorted(path.name for path in folder.iterdir() if path.name != LOCK) == ["manifest.json", PREVIOUS]


def _config_changes(path: Path) -> None:
    try:
        format_diff(diff_configs(load_yaml(path), get_cfg()))
    except (OSError, ConfigError) as error:
        assert path.name in str(error)


METRICS = Kind("metrics.json", (), prepare_metrics)
# Nothing that lies in the folder may keep a run from it.
RECORDS = Kind("run folder", (), prepare_records)
