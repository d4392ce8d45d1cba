import os
from pathlib import Path

import pytest

from fastreid_configs import write_published
from shared_files import shared
from steploop.config import get_cfg
from steploop.config.nested import leaves
from steploop.engine import build_default_config
from steploop.projects.reid import add_reid_config
from steploop.projects.reid.fastreid import fastreid_defaults, is_fastreid, read_config, translate
from steploop.projects.reid.fastreid.keys import CONVERTED, IGNORED, RENAMED, SAME, UNBUILT


def read(path, *opts):
    cfg = build_default_config()
    add_reid_config(cfg)
    read_config(cfg, path, opts)
    return cfg


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs")
    write_published(path)
    return path


def test_the_defaults_are_those_of_fast_reid():
    recorded = shared("golden/fastreid_config_defaults.txt").read_text().splitlines()
    ours = dict(leaves(fastreid_defaults().to_dict()))
    for line in recorded:
        name, _, value = line.partition(" = ")
        assert ours.pop(name) == pytest.approx(eval(value)) if "PIXEL" in name else repr(ours.pop(name)) == value
    assert not ours


def test_each_key_has_one_fate():
    keys = [name for name, _ in leaves(fastreid_defaults().to_dict())]
    assert sorted([*SAME, *RENAMED, *CONVERTED, *IGNORED, *UNBUILT]) == sorted(keys)


def test_all_files_are_read(folder):
    files = sorted(path for path in folder.rglob("*.yml"))
    if there := os.environ.get("FASTREID_CONFIGS"):
        files = sorted(Path(there).rglob("*.yml"))
    assert len(files) == 47
    for path in files:
        assert is_fastreid(path)
        cfg = read(path)
        assert cfg.MODEL.BACKBONE.PRETRAIN_PATH, path
        assert cfg.SOLVER.LR_SCHEDULER_NAME in ("EpochMultiStepLR", "EpochCosineLR")
        assert cfg.DATALOADER.SAMPLER_TRAIN in ("NaiveIdentitySampler", "BalancedIdentitySampler")
        assert (cfg.MODEL.BACKBONE.STEM_POOL, cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE) == ("ceil", 5.0)


def test_what_a_recipe_stands_for(folder):
    cfg = read(folder / "Market1501/sbs_R50-ibn.yml")
    assert cfg.DATASETS.TRAIN == cfg.DATASETS.TEST == ("Market1501",)
    assert cfg.MODEL.BACKBONE.WITH_IBN and cfg.MODEL.BACKBONE.WITH_NL
    assert cfg.MODEL.BACKBONE.PRETRAIN_PATH == "resnet50_ibn_a-d9d0bb7b.pth"
    assert (cfg.MODEL.HEADS.CLS_LAYER, cfg.MODEL.HEADS.SCALE, cfg.MODEL.HEADS.MARGIN) == ("CircleSoftmax", 64.0, 0.35)
    assert (cfg.MODEL.LOSSES.TRI.MARGIN, cfg.MODEL.LOSSES.CE.EPSILON) == (0.0, 0.1)
    assert (cfg.INPUT.AUTOAUG.ENABLED, cfg.INPUT.AUTOAUG.PROB) == (True, 0.1)
    assert (cfg.SOLVER.MAX_EPOCH, cfg.SOLVER.DELAY_EPOCHS, cfg.SOLVER.WARMUP_ITERS) == (60, 30, 2000)
    assert (cfg.SOLVER.BASE_LR_END, cfg.SOLVER.FREEZE_ITERS, cfg.MODEL.FREEZE_LAYERS) == (7e-7, 1000, ["backbone"])
    assert (cfg.SOLVER.WEIGHT_DECAY_NORM, cfg.SOLVER.WEIGHT_DECAY_BIAS) == (5e-4, 5e-4)
    assert cfg.TEST.BEST == [["Market1501/metric", "max"]]


def test_a_silent_file_means_the_defaults_of_fast_reid(tmp_path):
    path = tmp_path / "silent.yml"
    path.write_text("DATASETS:\n  NAMES: ('DukeMTMC',)")
    cfg = read(path)
    assert (cfg.MODEL.HEADS.WITH_BNNECK, cfg.INPUT.FLIP.ENABLED, cfg.INPUT.REA.ENABLED) == (False, False, False)
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_EPOCH, cfg.SOLVER.STEPS) == (3e-4, 120, (30, 55))
    assert cfg.MODEL.LOSSES.NAME == ("CrossEntropyLoss",) and cfg.MODEL.BACKBONE.PRETRAIN_PATH == ""
    assert (cfg.DATALOADER.SAMPLER_TRAIN, cfg.OUTPUT_DIR) == ("WholeBatchSampler", "logs/")


def test_the_saved_config_of_a_run_is_read(folder, tmp_path):
    full = fastreid_defaults()
    full.merge_from_file(folder / "MSMT17/mgn_R50-ibn.yml")
    saved = tmp_path / "config.yaml"
    saved.write_text(full.dump())
    assert read(saved).to_dict() == read(folder / "MSMT17/mgn_R50-ibn.yml").to_dict()


def test_overrides_in_either_dialect(folder):
    path = folder / "Market1501/bagtricks_R50.yml"
    cfg = read(path, "DATASETS.TESTS", "('DukeMTMC',)", "SOLVER.SCHED=CosineAnnealingLR", "MODEL.BACKBONE.WIDTH", "8")
    assert cfg.DATASETS.TEST == ("DukeMTMC",) and cfg.TEST.BEST[0][0] == "DukeMTMC/metric"
    assert (cfg.SOLVER.LR_SCHEDULER_NAME, cfg.MODEL.BACKBONE.WIDTH) == ("EpochCosineLR", 8)
    cfg = read(path, "DATASETS.TEST", "('VeRi',)", "MODEL.DEVICE", "cpu")
    assert cfg.TEST.BEST[0][0] == "VeRi/metric" and cfg.MODEL.DEVICE == "cpu"
    assert read("", "DATASETS.NAMES", "('VeRi',)").SOLVER.MAX_EPOCH == 120


def test_a_config_of_ours_stays_ours(tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_text("SOLVER: {MAX_ITER: 7}")
    assert not is_fastreid(path)
    assert read(path, "SOLVER.BASE_LR", "0.5").SOLVER.BASE_LR == 0.5
    cfg = get_cfg()
    add_reid_config(cfg)
    assert cfg.INPUT.FLIP.ENABLED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SOLVER: {SCHED: MultiStepLR, FREEZE_FC_ITERS: 3}", "config.yml:1: SOLVER.FREEZE_FC_ITERS is refused: .*1.0"),
        ("SOLVER: {SCHED: MultiStepLR}\nTEST: {DSR: {ENABLED: True}}", "config.yml:2: TEST.DSR.*PartialReID"),
        ("SOLVER: {SCHED: StepLR}", "SOLVER.SCHED: unknown value 'StepLR'"),
        ("SOLVER: {SCHED: MultiStepLR, WARMUP_METHOD: cubic}", "SOLVER.WARMUP_METHOD"),
        ("SOLVER: {ETA_MIN_LR: 0.1, BASE_LRR: 0.1}", "BASE_LR"),
        ("DATASETS: {NAMES: ()}\nDATALOADER: {SAMPLER_TRAIN: SetReWeightSampler}", "cannot run in fast-reid either"),
        ("MODEL: {BACKBONE: {PRETRAIN: True, DEPTH: 7x}}", "network of build_resnet_backbone '7"),
        ("MODEL: {BACKBONE: {PRETRAIN: True, NORM: layer}}", "MODEL.BACKBONE.NORM"),
        ("SOLVER: {SCHED: MultiStepLR}\nKD: {MODEL_CONFIG: [a.yml]}", "KD.MODEL_CONFIG is refused"),
    ],
)
def test_what_is_refused_is_named(tmp_path, text, message):
    path = tmp_path / "config.yml"
    path.write_text(text)
    with pytest.raises((ValueError, KeyError), match=message):
        read(path)


def test_notes_of_what_has_no_effect():
    config = fastreid_defaults()
    config.MODEL.BACKBONE.SIE_COE = 1.0
    config.SOLVER.AMP.ENABLED = True
    config.MODEL.BACKBONE.PRETRAIN_PATH = "x.pth"
    on_cpu, on_gpu = (translate(config.to_dict(), on_gpu=on_gpu) for on_gpu in (False, True))
    assert [note.split(" is ")[0] for note in on_cpu.notes] == [
        "MODEL.BACKBONE.PRETRAIN_PATH",
        "MODEL.DEVICE",
        "SOLVER.AMP.ENABLED",
        "MODEL.BACKBONE.SIE_COE",
    ]
    assert (on_cpu.values["SOLVER.AMP.ENABLED"], on_cpu.values["MODEL.DEVICE"]) == (False, "auto")
    assert (on_gpu.values["SOLVER.AMP.ENABLED"], on_gpu.values["MODEL.DEVICE"]) == (True, "cuda")
