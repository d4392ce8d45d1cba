"""Tests of steploop/projects/centerfusion/trainer.py and train_net.py."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from steploop.config import get_cfg
from steploop.data import SampleError
from steploop.engine import NonFiniteLoss
from steploop.modeling import META_ARCH_REGISTRY
from steploop.projects.centerfusion import add_centerfusion_config, from_config
from steploop.projects.centerfusion.trainer import CenterFusionTrainer
from tiny_centerfusion import OPTIONS, tiny_centerfusion_cfg, write_tiny_roads

SCRIPT = Path(__file__).parents[3] / "projects/centerfusion/train_net.py"
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_tiny_roads(tmp_path_factory.mktemp("datasets"))


def train(cfg):
    torch.manual_seed(0)
    trainer = CenterFusionTrainer(cfg)
    return trainer, trainer.train()


def test_a_run_from_tables_to_figures_and_pictures(tmp_path, root, caplog):
    val = (f"{root}/mini_val",)
    with caplog.at_level(logging.INFO, "steploop.projects.centerfusion"):
        _, results = train(tiny_centerfusion_cfg(tmp_path, root, DATASETS__VAL=val, TEST__EVAL_AT_START=True))
    assert list(results) == ["AP", "Scores"]
    assert {"overall", "overall_4m", "car", "barrier"} < results["AP"].keys()
    assert {"NDS", "trans_err", "attr_err"} < results["Scores"].keys()
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert {"loss_hm", "loss_dep_sec", "loss_velocity", "total_loss"} <= lines[1].keys()
    assert {"validation/total_loss", "validation/loss_hm", "validation/loss_rot_sec"} <= lines[-2].keys()
    assert {"AP/overall", "Scores/NDS"} <= lines[-1].keys()
    folder = next(tmp_path.glob("evaluation_*"))
    assert json.loads((folder / "metrics_summary.json").read_text())["nd_score"] == results["Scores"]["NDS"]
    assert len(json.loads((folder / "results_nusc.json").read_text())["results"]) == 6
    for picture in ("curves.png", "sample_000000.png"):
        with Image.open(folder / picture) as image:
            assert image.format == "PNG"
    events = EventAccumulator(str(tmp_path)).Reload()
    assert any("sample_000000" in tag for tag in events.Tags()["images"])
    assert "traffic_cone" in caplog.text
    assert "16 images" in caplog.text


def test_two_sets_are_trained_on_and_tested(tmp_path, root):
    both = (f"{root}/mini_train", f"{root}/mini_val")
    trainer, results = train(
        tiny_centerfusion_cfg(tmp_path, root, DATASETS__TRAIN=both, DATASETS__TEST=both, SOLVER__MAX_ITER=1)
    )
    assert trainer.data_loader.epoch_length == 16 + 6
    assert list(results) == list(both)
    assert len(list(tmp_path.glob("evaluation_*"))) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"MODEL__RADAR__ENABLED": False},
        {"MODEL__FREEZE_LAYERS": ["base", "dla_up", "ida_up"], "SOLVER__FREEZE_ITERS": 1},
        {"INPUT__RADAR__EMPTY": True, "TEST__FLIP": True},
        {"INPUT__RANDOM_CROP": True, "TEST__RENDER_CURVES": False, "TEST__VIS_SAMPLES": 0},
        {"MODEL__DLA__NODE": "dcn", "TEST__VELOCITY_ALONG_HEADING": False},
    ],
)
def test_other_ways_to_train(tmp_path, root, change):
    _, results = train(tiny_centerfusion_cfg(tmp_path, root, SOLVER__MAX_ITER=2, **change))
    assert results["Scores"]["NDS"] >= 0


def test_a_batch_of_several_images_is_evaluated_as_single_ones(tmp_path, root):
    trainer, _ = train(tiny_centerfusion_cfg(tmp_path / "one", root))
    weights = str(tmp_path / "one" / "model_final.pth")
    cfg = tiny_centerfusion_cfg(tmp_path / "three", root, TEST__IMS_PER_BATCH=3, MODEL__WEIGHTS=weights)
    other = CenterFusionTrainer(cfg)
    other.resume_or_load(resume=False)
    other.evaluate()
    contents = [
        json.loads((next((tmp_path / run).glob("evaluation_*")) / "results_nusc.json").read_text())["results"]
        for run in ("one", "three")
    ]
    for first, second in zip(contents[0].values(), contents[1].values()):
        for one, three in zip(first, second):
            assert one["translation"] == pytest.approx(three["translation"], rel=1e-4)


class TestWrongInput:
    def test_options(self, tmp_path, root):
        for change, message in (
            ({"INPUT__SIZE": [32, 60]}, "multiples of 32"),
            ({"INPUT__FLIP_PROB": 2.0}, "is a probability"),
            ({"MODEL__DLA__NODE": "dnc"}, "one of dcn, conv, gcn"),
            ({"MODEL__DLA__CHANNELS": [1, 2]}, "six numbers"),
            ({"TEST__VIS_SAMPLES": -1}, "number of samples"),
            ({"DATASETS__TRAIN": ()}, "DATASETS.TRAIN is empty"),
            ({"DATASETS__TRAIN": ("nuscenes",)}, "has no split"),
        ):
            with pytest.raises(ValueError, match=message):
                CenterFusionTrainer(tiny_centerfusion_cfg(tmp_path, root, **change))

    def test_a_set_that_is_not_converted(self, tmp_path, root):
        with pytest.raises(FileNotFoundError, match=r"convert\.py"):
            CenterFusionTrainer(tiny_centerfusion_cfg(tmp_path, root, DATASETS__TRAIN=(f"{tmp_path}/mini_train",)))

    def test_a_damaged_picture_is_named(self, tmp_path):
        root = write_tiny_roads(tmp_path)
        trainer = CenterFusionTrainer(tiny_centerfusion_cfg(tmp_path / "run", root, DATASETS__TEST=()))
        for path in (root / "samples" / "CAM_FRONT").iterdir():
            path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(SampleError, match="cannot be read"):
            trainer.train()


def test_offsets_that_are_not_finite_end_in_the_engines_report(tmp_path, root):
    trainer = CenterFusionTrainer(tiny_centerfusion_cfg(tmp_path, root, MODEL__DLA__NODE="dcn"))
    bias = trainer.model.get_parameter("ida_up.node_1.conv.conv_offset_mask.bias")
    bias.data[0] = float("nan")
    with pytest.raises(NonFiniteLoss):
        trainer.train()
    report = json.loads((tmp_path / "nonfinite_0_rank0.json").read_text())
    assert report["losses"]["loss_hm"] == "nan"
    assert len(report["samples"]) == 4


@pytest.mark.parametrize("name", sorted(path.name for path in (SCRIPT.parent / "configs").iterdir()))
def test_configs_are_whole(name):
    cfg = get_cfg()
    add_centerfusion_config(cfg)
    cfg.merge_from_file(SCRIPT.parent / "configs" / name)
    assert cfg.DATASETS.TRAIN
    from_config.sample_options(cfg)
    with torch.device("meta"):
        model = META_ARCH_REGISTRY.get("CenterFusion")(cfg)
    assert (model.head_names.secondary != {}) == cfg.MODEL.RADAR.ENABLED


def test_a_baseline_starts_the_radar_model(tmp_path, root):
    """Files of the published code name their entries "module.<name>" below "state_dict"."""
    torch.manual_seed(0)
    baseline = CenterFusionTrainer.build_model(tiny_centerfusion_cfg(tmp_path, root, MODEL__RADAR__ENABLED=False))
    entries = {f"module.{name}": value for name, value in baseline.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": entries}, tmp_path / "baseline.pth")
    trainer = CenterFusionTrainer(tiny_centerfusion_cfg(tmp_path, root, MODEL__WEIGHTS=str(tmp_path / "baseline.pth")))
    before = trainer.model.get_parameter("velocity.0.weight").clone()
    trainer.resume_or_load(resume=False)
    after = trainer.model.get_parameter("velocity.0.weight")
    assert torch.equal(after[:, :8], baseline.get_parameter("velocity.0.weight"))
    assert torch.equal(after[:, 8:], before[:, 8:])
    assert torch.equal(trainer.model.get_parameter("hm.0.weight"), baseline.get_parameter("hm.0.weight"))


def test_a_trunk_starts_from_imagenet_weights(tmp_path, root):
    torch.manual_seed(0)
    trunk = CenterFusionTrainer.build_model(tiny_centerfusion_cfg(tmp_path, root)).base
    classifier = {"fc.weight": torch.zeros(10, 8, 1, 1), "fc.bias": torch.zeros(10)}
    torch.save({**trunk.state_dict(), **classifier}, tmp_path / "dla.pth")
    trainer = CenterFusionTrainer(
        tiny_centerfusion_cfg(tmp_path, root, MODEL__DLA__PRETRAIN_PATH=str(tmp_path / "dla.pth"))
    )
    trainer.resume_or_load(resume=False)
    for name, value in trunk.state_dict().items():
        assert torch.equal(trainer.model.base.state_dict()[name], value)


def test_the_command_trains_resumes_and_evaluates(tmp_path):
    """From tables that are not converted yet."""
    write_tiny_roads(tmp_path)
    tree: dict = {"DATASETS": {"TRAIN": ["synthetic-roads/mini_train"], "TEST": ["synthetic-roads/mini_val"]}}
    for name, value in OPTIONS.items():
        *sections, key = name.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[key] = list(value) if isinstance(value, tuple) else value
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "STEPLOOP_DATASETS": str(tmp_path)}

    def run(*arguments):
        command = [sys.executable, str(SCRIPT), "--config-file", "tiny.yaml", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return (tmp_path / "output" / "tiny" / "log.txt").read_text()

    log = run()
    assert "NDS" in log
    weights = "output/tiny/model_final.pth"
    log = run("--eval-only", "MODEL.WEIGHTS", weights)
    tables = [part.split("NDS ")[1].split()[0] for part in log.split("Classes:")[1:]]
    assert len(tables) == 2
    assert tables[0] == tables[1]
