import pytest
import torch
from torch import nn

from steploop.engine import DefaultTrainer, default_setup, hooks
from steploop.engine.checkpoint import read_checkpoint
from steploop.engine.defaults.acceleration import compile_model, set_float32_precision
from tiny_project import MeanOutput, TinyTrainer, tiny_args, tiny_cfg

EMA = ("SOLVER.EMA.ENABLED", True, "SOLVER.EMA.DECAY", 0.5)
CLIPPING = ("SOLVER.CLIP_GRADIENTS.ENABLED", True)
EVALUATION = ("DATASETS.TEST", "('tiny',)", "TEST.EVAL_PERIOD", 4)
COMPILED = ("SOLVER.COMPILE", True, "SOLVER.COMPILE_BACKEND", "aot_eager")


class Convolutions(nn.Module):
    """Looks at each sample as a picture of 8 x 8 pixels, and tells how its images lie in memory."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
        self.seen = None

    def forward(self, batch):
        images = batch["x"][:, :, None, None] * torch.linspace(-1, 1, 64).view(8, 8)
        maps = self.layers(images)
        self.seen = maps
        return {"loss": maps.square().mean()}


class ConvolutionTrainer(DefaultTrainer):
    @classmethod
    def build_model(cls, cfg):
        return Convolutions()

    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return MeanOutput()


@pytest.fixture
def build(tmp_path):
    def build(*overrides, folder="run", cls=TinyTrainer):
        torch.manual_seed(0)
        cfg = tiny_cfg(tmp_path / folder, *overrides)
        cfg.freeze()
        return cls(cfg)

    yield build
    torch.compiler.reset()


@pytest.fixture
def float32_settings():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def stopped_and_resumed(build, *overrides, folder, cls=TinyTrainer):
    """Train to the end with a stop after step 4, and return the trainer of the second run."""
    first = build(*overrides, folder=folder, cls=cls)
    first.register_hooks([hooks.CallbackHook(after_step=lambda t: t.iter == 4 and t.request_stop("test"))])
    first.train()
    second = build(*overrides, folder=folder, cls=cls)
    second.resume_or_load()
    assert second.start_iter == 5
    second.train()
    return second


def equal_bits(one, other):
    """Compare two checkpoint trees without the hooks' and writers' own."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal_bits(one[key], other[key]) for key in one)
    return one == other


def final_state(tmp_path, folder):
    checkpoint = read_checkpoint(tmp_path / folder / "model_final.pth")
    return checkpoint["model"], checkpoint["trainer"]["_trainer"]["optimizer"]["state"]


@pytest.mark.parametrize(
    "overrides",
    [
        ("SOLVER.OPT", "SGD", "SOLVER.OPT_ARGS.fused", True),
        ("SOLVER.OPT", "Adam", "SOLVER.OPT_ARGS.fused", True),
        ("SOLVER.OPT", "AdamW", "SOLVER.OPT_ARGS.fused", True, *CLIPPING, *EMA),
        ("SOLVER.OPT", "Adam", "SOLVER.OPT_ARGS.foreach", True),
        ("SOLVER.OPT", "SGD", "SOLVER.OPT_ARGS.foreach", False),
        ("MODEL.CHANNELS_LAST", True, *EMA),
        (*COMPILED, *EMA, *CLIPPING),
    ],
    ids=lambda overrides: " ".join(map(str, overrides)),
)
def test_each_key_resumes_in_the_same_bits(build, tmp_path, overrides):
    cls = ConvolutionTrainer if "MODEL.CHANNELS_LAST" in overrides else TinyTrainer
    build(*overrides, folder="whole", cls=cls).train()
    stopped_and_resumed(build, *overrides, folder="stopped", cls=cls)
    for one, other in zip(final_state(tmp_path, "whole"), final_state(tmp_path, "stopped")):
        assert one and equal_bits(one, other)


@pytest.mark.parametrize("name", ["fused", "foreach"])
def test_arguments_of_the_optimizer_reach_its_groups(build, name):
    trainer = build("SOLVER.OPT", "Adam", f"SOLVER.OPT_ARGS.{name}", True)
    assert all(group[name] is True for group in trainer.optimizer.param_groups)


def test_a_resumed_run_may_turn_the_fused_step_on(build):
    build("SOLVER.OPT", "Adam", "SOLVER.MAX_ITER", 4).train()
    trainer = build("SOLVER.OPT", "Adam", "SOLVER.OPT_ARGS.fused", True, "SOLVER.MAX_ITER", 8)
    trainer.resume_or_load()
    trainer.train()
    assert trainer.completed_iter == 7
    assert all(group["fused"] for group in trainer.optimizer.param_groups)
    assert {int(state["step"]) for state in trainer.optimizer.state.values()} == {8}


def test_channels_last_reaches_the_feature_maps_and_no_name_or_value_changes(build, tmp_path):
    results = {}
    for name, overrides in {"first": (), "last": ("MODEL.CHANNELS_LAST", True)}.items():
        trainer = build(*EVALUATION, *overrides, folder=name, cls=ConvolutionTrainer)
        results[name] = trainer.train()["tiny"]["mean"]
        is_last = trainer.model.seen.is_contiguous(memory_format=torch.channels_last)
        assert is_last == (name == "last")
    assert results["last"] == pytest.approx(results["first"], rel=1e-4)
    first, last = (read_checkpoint(tmp_path / name / "model_final.pth")["model"] for name in ("first", "last"))
    assert list(first) == list(last)
    for name, value in first.items():
        torch.testing.assert_close(last[name], value, rtol=1e-4, atol=1e-5)


def test_weights_saved_with_channels_last_are_loaded_without_and_the_other_way(build, tmp_path):
    for first, second in [(True, False), (False, True)]:
        trained = build("MODEL.CHANNELS_LAST", first, folder=f"from-{first}", cls=ConvolutionTrainer)
        trained.train()
        path = tmp_path / f"from-{first}" / "model_final.pth"
        loaded = build("MODEL.CHANNELS_LAST", second, "MODEL.WEIGHTS", path, cls=ConvolutionTrainer)
        loaded.resume_or_load(resume=False)
        for one, other in zip(trained.model.state_dict().values(), loaded.model.state_dict().values()):
            assert torch.equal(one, other)
        weight = loaded.model.layers[0].weight
        assert weight.is_contiguous(memory_format=torch.channels_last) == second


def test_a_compiled_model_keeps_its_names_and_is_what_is_evaluated(build, tmp_path):
    plain = build(*EVALUATION, *EMA, folder="plain")
    compiled = build(*EVALUATION, *EMA, *COMPILED, folder="compiled")
    torch._dynamo.utils.counters.clear()
    results = [trainer.train()["tiny"]["mean"] for trainer in (plain, compiled)]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 2  # one in training, one in evaluation
    assert results[1] == pytest.approx(results[0], rel=1e-5)
    files = [read_checkpoint(tmp_path / name / "model_final.pth") for name in ("plain", "compiled")]
    assert list(files[0]["model"]) == list(files[1]["model"]) == ["layer.weight", "layer.bias"]
    assert files[0]["trainer"]["hooks"]["EMA"].keys() == files[1]["trainer"]["hooks"]["EMA"].keys()


def test_nothing_is_compiled_unless_asked_for(build):
    torch._dynamo.utils.counters.clear()
    build().train()
    assert not torch._dynamo.utils.counters["stats"]


def test_a_missing_compiler_is_told_at_the_start(build, monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"SOLVER.COMPILE needs a compiler, and (g|clang)\+\+ .* is not on the PATH"):
        build("SOLVER.COMPILE", True)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RuntimeError, match="no-such-compiler"):
        build("SOLVER.COMPILE", True)


def test_an_unknown_backend_is_an_error_with_the_known_ones(build):
    with pytest.raises(ValueError, match="SOLVER.COMPILE_BACKEND .* inductor, .*; got 'fast'"):
        build("SOLVER.COMPILE", True, "SOLVER.COMPILE_BACKEND", "fast")


def test_a_backend_without_a_compiler_needs_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    model = nn.Linear(2, 2)
    compile_model(model, "eager")
    assert model(torch.zeros(1, 2)).shape == (1, 2)
    torch.compiler.reset()


@pytest.mark.parametrize(("name", "tf32"), [("highest", False), ("high", True), ("medium", True)])
def test_float32_is_as_exact_as_the_config_says(tmp_path, float32_settings, name, tf32):
    torch.backends.cudnn.allow_tf32 = not tf32
    cfg = tiny_cfg(tmp_path / "run", "FLOAT32_PRECISION", name, "MODEL.WEIGHTS", "any.pth")
    default_setup(cfg, tiny_args(eval_only=True))
    assert torch.get_float32_matmul_precision() == name
    assert torch.backends.cudnn.allow_tf32 is tf32


def test_torchs_own_precision_is_left_alone(float32_settings):
    torch.backends.cudnn.allow_tf32 = False
    set_float32_precision("")
    assert torch.backends.cudnn.allow_tf32 is False


def test_an_unknown_precision_is_an_error(float32_settings):
    with pytest.raises(ValueError, match="FLOAT32_PRECISION .* got 'tf32'"):
        set_float32_precision("tf32")
