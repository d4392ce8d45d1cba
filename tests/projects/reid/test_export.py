"""Exported programs compute what the model does, or do not exist."""

import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from market_folder import write_image
from reid_run import write_run
from steploop.modeling import export as module
from steploop.modeling.export import load_program
from steploop.projects.reid.export import export
from steploop.projects.reid.predictor import ReidPredictor

pytestmark = pytest.mark.usefixtures("one_thread")

SCRIPT = Path(__file__).parents[3] / "projects/reid/export.py"
MISSING = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
FORMATS = [
    "export",
    pytest.param("onnx", marks=pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed")),
]
FILES = {"export": "model.pt2", "onnx": "model.onnx"}


@pytest.fixture(scope="module")
def run_cfg(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def predictor(run_cfg):
    return ReidPredictor(run_cfg)


def pixels(predictor, tmp_path, count=5):
    files = [write_image(tmp_path / f"{seed}.png", seed) for seed in range(count)]
    return torch.stack([predictor.preprocess(file) for file in files]), predictor(files)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("input_type", ["uint8", "float32"])
def test_a_program_gives_the_features_of_the_predictor(predictor, tmp_path, file_format, input_type):
    images, features = pixels(predictor, tmp_path)
    path = tmp_path / "out" / FILES[file_format]
    path.parent.mkdir()
    difference = export(predictor, path, file_format=file_format, input_type=input_type, images=images)
    assert 0 <= difference <= 1e-5
    program = load_program(path)
    images = images.to(module.INPUT_TYPES[input_type])
    for size in (1, 2, 5):  # any batch
        assert program(images[:size]).numpy() == pytest.approx(features[:size].numpy(), abs=1e-5)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("file_format", FORMATS)
def test_all_that_a_head_can_do_is_exported(tmp_path, file_format):
    cfg = write_run(
        tmp_path / "run",
        MODEL__HEADS__POOL_LAYER="GeneralizedMeanPoolingP",
        MODEL__HEADS__EMBEDDING_DIM=16,
        MODEL__BACKBONE__WITH_IBN=True,
        MODEL__BACKBONE__STEM_POOL="ceil",
        TEST__TURNS=2,
        INPUT__SIZE_TEST=[32, 32],
    )
    assert export(ReidPredictor(cfg), tmp_path / FILES[file_format], file_format=file_format) <= 1e-5


def test_a_program_needs_none_of_this_code(predictor, tmp_path):
    images, features = pixels(predictor, tmp_path, count=3)
    export(predictor, tmp_path / "model.pt2")
    torch.save({"images": images, "features": features}, tmp_path / "data.pt")
    code = (
        "import sys, torch; data = torch.load('data.pt'); program = torch.export.load('model.pt2').module();"
        "print(float((program(data['images']) - data['features']).abs().max()), 'steploop.engine' in sys.modules)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    difference, loaded = result.stdout.split()
    assert float(difference) <= 1e-5
    assert loaded == "False"


@pytest.mark.parametrize("wrong", [0.01, float("nan")])
def test_a_program_that_differs_never_appears(predictor, tmp_path, monkeypatch, wrong):
    path = tmp_path / "model.pt2"
    path.write_bytes(b"an older file")
    write, load = module._FORMATS["export"]

    def spoiled(file):
        program = load(file)
        # Only the last of several images differs.
        return lambda images: program(images) + wrong * (torch.arange(len(images)) == 4)[:, None]

    monkeypatch.setitem(module._FORMATS, "export", (write, spoiled))
    with pytest.raises(ValueError, match="the exported program is not the model: their outputs differ by (0.01|nan)"):
        export(predictor, path)
    assert path.read_bytes() == b"an older file"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt2"]


def test_a_program_is_on_the_disk_before_it_has_its_name(predictor, tmp_path, monkeypatch):
    made, flushed, fsync = [], [], os.fsync

    def spy(descriptor):
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def write(embedder, example, path, names):
        made.append(embedder)
        path.write_bytes(b"program")

    monkeypatch.setitem(module._FORMATS, "onnx", (write, lambda path: made[0]))
    monkeypatch.setattr(os, "fsync", spy)
    export(predictor, tmp_path / "model.onnx", file_format="onnx")
    assert flushed == [str(tmp_path / f".{os.getpid()}.model.onnx"), str(tmp_path)]


def test_a_program_without_normalisation_does_not_pass(predictor, tmp_path, monkeypatch):
    write, load = module._FORMATS["export"]

    def forgetful(embedder, example, path, names):
        mean = embedder.model.pixel_mean.clone()
        embedder.model.pixel_mean.zero_()
        write(embedder, example, path, names)
        embedder.model.pixel_mean.copy_(mean)

    monkeypatch.setitem(module._FORMATS, "export", (forgetful, load))
    with pytest.raises(ValueError, match="is not the model"):
        export(predictor, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_given_images_are_compared_too(predictor, tmp_path, monkeypatch):
    images, _ = pixels(predictor, tmp_path, count=3)
    seen = []
    monkeypatch.setattr(module, "largest_difference", lambda model, program, batches: seen.extend(batches) or 0.0)
    export(predictor, tmp_path / "model.pt2", images=images, input_type="float32")
    assert [len(batch) for batch in seen] == [1, 2, 5, 2, 3]
    assert torch.equal(seen[-1], images.float())
    assert all(batch.dtype == torch.float32 for batch in seen)
    assert seen[3].unique().tolist() == [0.0, 255.0]


def test_what_cannot_be_exported_is_named(predictor, tmp_path):
    for options, message in (
        ({"file_format": "caffe"}, "format is one of export, onnx; got 'caffe'"),
        ({"input_type": "int8"}, "one of uint8, float32; got 'int8'"),
    ):
        with pytest.raises(ValueError, match=message):
            export(predictor, tmp_path / "x.pt2", **options)
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        export(predictor, tmp_path / "nowhere" / "x.pt2")
    with pytest.raises(FileNotFoundError, match="no exported program"):
        load_program(tmp_path / "x.pt2")


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run the script in a folder as a command does, in this process."""
    monkeypatch.chdir(tmp_path)
    program = runpy.run_path(str(SCRIPT))

    def run(*args):
        monkeypatch.setattr(sys, "argv", [SCRIPT.name, *map(str, args)])
        program["main"](program["parse_args"]())

    return run


def test_the_command(run_cfg, tmp_path, command, monkeypatch, capsys):
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path))
    config = Path(run_cfg.MODEL.WEIGHTS).with_name("config.yaml")
    image = write_image(tmp_path / "one.png")
    command("--config-file", config, "--output", "m.pt2", "--images", image)
    assert "largest difference from the model, on random pixels and 1 images: 0" in capsys.readouterr().out
    assert load_program("m.pt2")(torch.zeros(3, 3, 32, 16, dtype=torch.uint8)).shape == (3, 64)

    with pytest.raises(ValueError, match="the exported program is not the model"):
        command("--config-file", config, "--output", "n.pt2", "--tolerance", "-1")
    assert "compared on random pixels only" in capsys.readouterr().out
    assert not list(tmp_path.glob("*n.pt2"))


def test_help(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        command("--help")
    assert "--format onnx" in capsys.readouterr().out
