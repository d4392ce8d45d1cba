import logging

import pytest
import torch
from torch import nn

from steploop.engine import DefaultTrainer, load_pretrained
from steploop.modeling import PretrainedWeights, ResNet, pretrained_parts
from tiny_project import TinyTrainer, tiny_cfg


def make(path=None, width=4):
    model = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))
    if path is not None:
        model.pretrained = PretrainedWeights(str(path), ignore=("fc.",))
    return nn.ModuleDict({"backbone": model, "head": nn.Linear(width, 1)})


def start(model):
    load_pretrained(model, pretrained_parts(model))


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"model": weights, "epoch": 3},
        lambda weights: {"state_dict": weights},
        lambda weights: {"model_state": weights, "cfg": "text"},
        lambda weights: {f"module.{name}": value for name, value in weights.items()},
        lambda weights: {"state_dict": {f"module.{name}": value for name, value in weights.items()}},
        lambda weights: {f"backbone.{name}": value for name, value in weights.items()},
    ],
    ids=["bare", "model", "state_dict", "model_state", "module.", "state_dict, module.", "of a whole model"],
)
def test_the_usual_layouts_load_into_the_part(tmp_path, wrap, caplog):
    source, target = make(), nn.DataParallel(make(tmp_path / "w.pth"))
    head = target.module["head"].weight.clone()
    torch.save(wrap(source["backbone"].state_dict()), tmp_path / "w.pth")
    with caplog.at_level(logging.INFO, "steploop"):
        load_pretrained(target, pretrained_parts(target.module))
    assert same(source["backbone"], target.module["backbone"])
    assert torch.equal(head, target.module["head"].weight)
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert "Loaded 6 of 6 weights (100 %)" in caplog.text


def test_an_imagenet_file_loads_without_its_classifier(tmp_path, caplog):
    source, target = ResNet(18, width=4), ResNet(18, width=4)
    weights = {**source.state_dict(), "fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}
    torch.save(weights, tmp_path / "resnet.pth")
    target.pretrained = PretrainedWeights(str(tmp_path / "resnet.pth"), ignore=("fc.",))
    start(target)
    assert same(source, target)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_file_of_another_width_is_refused(tmp_path):
    # All that fits are the counters of batch normalisation.
    torch.save(ResNet(18, width=8).state_dict(), tmp_path / "w.pth")
    target = ResNet(18, width=4)
    target.pretrained = PretrainedWeights(str(tmp_path / "w.pth"))
    with pytest.raises(ValueError, match=r"ResNet and .*w.pth have too little in common. Loaded 0 of 100 weights"):
        start(target)


def test_a_file_of_another_network_is_refused(tmp_path):
    torch.save({"blocks.0.w": torch.zeros(2, 3)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w.pth have not one name in common.*blocks.0.w.*0.weight"):
        start(make(tmp_path / "w.pth"))


def test_a_missing_file_names_the_key(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.pth.*start backbone from it.*PRETRAIN_PATH"):
        start(make(tmp_path / "none.pth"))


@pytest.mark.parametrize("content", [b"", b"not a weight file", b"PK\x03\x04 truncated"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ValueError, match="w.pth"):
        start(make(tmp_path / "w.pth"))


def test_a_file_with_code_is_refused(tmp_path):
    torch.save({"model": make()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="w.pth is refused"):
        start(make(tmp_path / "w.pth"))


@pytest.fixture
def build(tmp_path):
    """Return a trainer whose model starts from ones.pth, a file of ones, which is there at first."""
    model = TinyTrainer.build_model(tiny_cfg(tmp_path / "run"))
    torch.save({name: torch.ones_like(value) for name, value in model.state_dict().items()}, tmp_path / "ones.pth")

    class Trainer(TinyTrainer):
        @classmethod
        def build_model(cls, cfg):
            model = TinyTrainer.build_model(cfg)
            model.pretrained = PretrainedWeights(str(tmp_path / "ones.pth"))
            return model

    def build(*overrides):
        torch.manual_seed(0)
        cfg = tiny_cfg(tmp_path / "run", *overrides)
        cfg.freeze()
        return Trainer(cfg)

    return build


def is_ones(trainer: DefaultTrainer):
    return all(bool((value == 1).all()) for value in trainer.model.state_dict().values())


def test_a_new_run_starts_from_the_file(build, caplog):
    trainer = build()
    assert not is_ones(trainer)
    trainer.resume_or_load(resume=False)
    assert is_ones(trainer)
    trainer.train()
    assert "resume_or_load" not in caplog.text


def test_a_run_that_never_starts_from_the_file_says_so(build, caplog):
    build().train()
    assert "resume_or_load() was not called before train()" in caplog.text


def test_a_finished_run_needs_the_file_no_more(build, tmp_path):
    trainer = build("DATASETS.TEST", "('tiny',)")
    trainer.resume_or_load(resume=False)
    results = trainer.train()
    (tmp_path / "ones.pth").unlink()
    weights = tmp_path / "run" / "model_final.pth"
    evaluated = build("DATASETS.TEST", "('tiny',)", "MODEL.WEIGHTS", str(weights))
    evaluated.resume_or_load(resume=False)
    assert evaluated.evaluate() == results
    resumed = build("SOLVER.MAX_ITER", 12)
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 10
    resumed.train()
    with pytest.raises(FileNotFoundError, match=r"ones\.pth"):
        build().resume_or_load(resume=False)


def test_the_share_is_a_key(build, tmp_path):
    state = dict(torch.load(tmp_path / "ones.pth", weights_only=True))
    name = next(iter(state))
    torch.save({name: state[name]}, tmp_path / "ones.pth")
    for weights in ("", str(tmp_path / "ones.pth")):
        with pytest.raises(ValueError, match="too little in common"):
            build("MODEL.WEIGHTS", weights, "MODEL.WEIGHTS_MIN_SHARE", 0.9).resume_or_load(resume=False)
        build("MODEL.WEIGHTS", weights, "MODEL.WEIGHTS_MIN_SHARE", 0.0).resume_or_load(resume=False)


def test_weights_of_another_project_load_as_a_start(tmp_path):
    source = ResNet(50, width=4)
    state = {}
    for name, value in source.state_dict().items():
        if "num_batches" not in name:  # detectron2's frozen normalisation has no counters
            state["backbone.bottom_up." + detectron2_name(name)] = value
    torch.save({"model": state}, tmp_path / "d2.pth")

    class Other(TinyTrainer):
        @classmethod
        def build_model(cls, cfg):
            model = TinyTrainer.build_model(cfg)
            model.backbone = ResNet(50, width=4)
            return model

    cfg = tiny_cfg(tmp_path / "run", "MODEL.WEIGHTS", str(tmp_path / "d2.pth"))
    trainer = Other(cfg)
    trainer.resume_or_load(resume=False)
    assert all(
        torch.equal(value, trainer.model.backbone.state_dict()[name]) for name, value in source.state_dict().items()
    )


def detectron2_name(name):
    first, _, rest = name.partition(".")
    if first in ("conv1", "bn1"):
        return "stem.conv1." + ("" if first == "conv1" else "norm.") + rest
    block, module, *last = rest.split(".")
    if module == "downsample":
        module, last = "shortcut", [*(["norm"] if last[0] == "1" else []), last[1]]
    elif module.startswith("bn"):
        module, last = f"conv{module[2:]}", ["norm", *last]
    return ".".join([f"res{int(first[5:]) + 1}", block, module, *last])
