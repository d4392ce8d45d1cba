import pytest
import torch
from torch import nn

from steploop.config import get_cfg
from steploop.engine import Checkpointer, DefaultPredictor, DefaultTrainer
from steploop.modeling import add_backbone_config


class Scale(nn.Module):
    """Multiplies rows by a weight; in train mode by nothing at all."""

    def __init__(self, size=3):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.batches = []

    def forward(self, batch):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.batches.append(len(batch))
        return batch * self.weight


class Trainer(DefaultTrainer):
    @classmethod
    def build_model(cls, cfg):
        return Scale(cfg.MODEL.SIZE)


class Predictor(DefaultPredictor):
    trainer_class = Trainer

    def preprocess(self, one):
        return torch.tensor([float(one)] * self.cfg.MODEL.SIZE)

    @classmethod
    def complete_config(cls, cfg, weights):
        cfg.MODEL.SIZE = len(weights["weight"])


def config(weights="", **overrides):
    cfg = get_cfg()
    add_backbone_config(cfg)
    cfg.MODEL.SIZE = 0
    cfg.MODEL.WEIGHTS = str(weights)
    cfg.TEST.IMS_PER_BATCH = 2
    cfg.merge_from_list([part for pair in overrides.items() for part in pair])
    cfg.freeze()
    return cfg


@pytest.fixture
def saved(tmp_path):
    """Save weights (3,) that are all `value`, and averaged ones if there are some; return the file."""

    def save(value, average=None, hook="EMA", **rest):
        model = Scale()
        nn.init.constant_(model.weight, value)
        if average is not None:
            rest["trainer"] = {"hooks": {hook: {"weight": torch.full((3,), average)}}}
        Checkpointer(model, str(tmp_path)).save("model", **rest)
        return tmp_path / "model.pth"

    return save


def test_several_inputs_in_batches_and_one(saved):
    predictor = Predictor(config(saved(2.0)))
    assert predictor([1, 2, 3, 4, 5])[:, 0].tolist() == [2, 4, 6, 8, 10]
    assert predictor.model.batches == [2, 2, 1]
    assert predictor((7,)).tolist() == predictor(7).tolist() == [[14.0] * 3]


def test_nothing_to_predict_is_an_error(saved):
    with pytest.raises(ValueError, match="list of inputs is empty"):
        Predictor(config(saved(1.0)))([])


def test_the_averaged_weights_are_used_where_there_are_some(saved):
    assert Predictor(config(saved(2.0, average=3.0)))(1).tolist() == [[3.0] * 3]
    assert Predictor(config(saved(2.0, average=3.0, hook="Other")))(1).tolist() == [[2.0] * 3]


@pytest.mark.parametrize("trainer", [{}, {"hooks": None}, {"hooks": {"EMA": {}}}, "a string"])
def test_other_things_in_a_checkpoint_are_no_averaged_weights(saved, trainer):
    assert Predictor(config(saved(2.0, trainer=trainer)))(1).tolist() == [[2.0] * 3]


def test_the_config_is_completed_and_not_changed(saved):
    cfg = config(saved(1.0))
    predictor = Predictor(cfg)
    assert (predictor.cfg.MODEL.SIZE, cfg.MODEL.SIZE) == (3, 0)
    assert predictor.cfg.is_frozen()


def test_weights_of_another_model_are_an_error(saved, tmp_path):
    class Other(Predictor):
        @classmethod
        def complete_config(cls, cfg, weights):
            cfg.MODEL.SIZE = 5

    with pytest.raises(ValueError, match=r"lacks weights of this model \(weight\).*the config"):
        Other(config(saved(1.0)))
    torch.save({"model": {"weight": torch.ones(3)}}, tmp_path / "partial.pth")

    class WithBias(Trainer):
        @classmethod
        def build_model(cls, cfg):
            model = Scale()
            model.bias = nn.Parameter(torch.zeros(3))
            return model

    class More(Predictor):
        trainer_class = WithBias

    with pytest.raises(ValueError, match=r"\(bias\)"):
        More(config(tmp_path / "partial.pth"))


def test_what_cannot_work_says_what_to_do(saved, tmp_path):
    with pytest.raises(ValueError, match=r"set MODEL\.WEIGHTS"):
        Predictor(config())
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        Predictor(config(tmp_path / "gone.pth"))
    with pytest.raises(ValueError, match=r"TEST\.IMS_PER_BATCH"):
        Predictor(config(saved(1.0), **{"TEST.IMS_PER_BATCH": 0}))


def test_a_frame_alone_does_not_know_its_inputs(saved):
    class Frame(Predictor):
        preprocess = DefaultPredictor.preprocess

    with pytest.raises(NotImplementedError, match=r"Frame does not know.*implement preprocess"):
        Frame(config(saved(1.0)))(1)
