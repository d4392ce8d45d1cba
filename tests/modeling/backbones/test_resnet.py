import pytest
import torch
from torch import nn

from steploop.config import get_cfg
from steploop.modeling import IBN, FrozenBatchNorm2d, ResNet, add_backbone_config, build_backbone

LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def torchvision_names(depth):
    """The state dict's names of torchvision's ResNet without its fc, from the rule of their making."""

    def norm(name):
        return [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]

    convolutions = 2 if depth < 50 else 3
    names = ["conv1.weight", *norm("bn1")]
    for stage, count in enumerate(LAYERS[depth], start=1):
        for block in range(count):
            prefix = f"layer{stage}.{block}"
            for i in range(1, convolutions + 1):
                names += [f"{prefix}.conv{i}.weight", *norm(f"{prefix}.bn{i}")]
            if block == 0 and (stage > 1 or depth >= 50):
                names += [f"{prefix}.downsample.0.weight", *norm(f"{prefix}.downsample.1")]
    return names


@pytest.mark.parametrize("depth, parameters", [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160)])
def test_names_and_sizes_are_torchvisions(depth, parameters):
    with torch.device("meta"):
        net = ResNet(depth)
        classifier = nn.Linear(net.output_shape()["res5"].channels, 1000)
    assert list(net.state_dict()) == torchvision_names(depth)
    assert sum(p.numel() for module in (net, classifier) for p in module.parameters()) == parameters


def test_the_default_network_is_the_published_one_in_shape():
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in ResNet(50).state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer3.5.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize(
    "stem, last_stride, stride", [("imagenet", 2, 32), ("imagenet", 1, 16), ("small", 2, 8), ("small", 1, 4)]
)
@pytest.mark.parametrize("width", [3, 8])
def test_output_channels_and_stride(depth, stem, last_stride, stride, width):
    net = ResNet(depth, width=width, stem=stem, last_stride=last_stride).eval()
    with torch.no_grad():
        outputs = net(torch.randn(2, 3, 64, 32))
    channels = width * 8 * (1 if depth == 18 else 4)
    assert net.output_shape() == {"res5": (channels, stride)}
    assert {name: y.shape for name, y in outputs.items()} == {"res5": (2, channels, 64 // stride, 32 // stride)}


@pytest.mark.parametrize("stem, last_stride", [("imagenet", 2), ("small", 1)])
def test_named_outputs_have_the_shapes_that_are_announced(stem, last_stride):
    names = ["stem", "res2", "res3", "res4", "res5"]
    net = ResNet(50, width=4, stem=stem, last_stride=last_stride, out_features=names[::-1]).eval()
    with torch.no_grad():
        outputs = net(torch.randn(1, 3, 64, 32))
    assert list(outputs) == list(net.output_shape()) == names
    for name, (channels, stride) in net.output_shape().items():
        assert outputs[name].shape == (1, channels, 64 // stride, 32 // stride)
    assert net.last_output == "res5"


def test_stages_behind_the_last_output_are_not_built():
    torch.manual_seed(0)
    short = ResNet(18, width=4, out_features=["res2", "res4"]).eval()
    whole = ResNet(18, width=4, out_features=["res2", "res3", "res4", "res5"]).eval()
    assert not any(name.startswith("layer4") for name in short.state_dict())
    short.load_state_dict({name: value for name, value in whole.state_dict().items() if "layer4" not in name})
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        outputs, expected = short(x), whole(x)
    assert list(outputs) == ["res2", "res4"]
    assert all(torch.equal(outputs[name], expected[name]) for name in outputs)


def test_the_two_stem_poolings_differ_in_values_only():
    torch.manual_seed(0)
    x = torch.randn(1, 3, 64, 32)
    pad, ceil = (ResNet(18, width=4, stem_pool=kind).eval() for kind in ("pad", "ceil"))
    ceil.load_state_dict(pad.state_dict())
    with torch.no_grad():
        a, b = pad(x)["res5"], ceil(x)["res5"]
    assert a.shape == b.shape
    assert not torch.allclose(a, b)


@pytest.mark.parametrize("depth", [18, 50])
def test_ibn_is_in_the_first_three_stages_only(depth):
    with torch.device("meta"):
        net = ResNet(depth, with_ibn=True)
    places = {name for name, module in net.named_modules() if isinstance(module, IBN)}
    expected = {f"layer{s}.{b}.bn1" for s in (1, 2, 3) for b in range(LAYERS[depth][s - 1])}
    assert places == expected
    assert "layer1.0.bn1.IN.weight" in net.state_dict()
    assert "layer1.0.bn1.BN.running_mean" in net.state_dict()


@pytest.mark.parametrize(
    "norm, kind", [("GN", nn.GroupNorm), ("FrozenBN", FrozenBatchNorm2d), ("SyncBN", nn.SyncBatchNorm)]
)
@pytest.mark.parametrize("with_ibn", [False, True])
def test_the_norm_is_the_same_throughout(norm, kind, with_ibn):
    net = ResNet(18, width=4, norm=norm, with_ibn=with_ibn)
    norms = [m for m in net.modules() if isinstance(m, nn.GroupNorm | nn.modules.batchnorm._BatchNorm)]
    assert len(norms) == 20
    assert all(type(module) is kind for module in norms)


def test_the_style_moves_the_stride_and_nothing_else():
    pytorch, caffe = (ResNet(50, width=4, style=style) for style in ("pytorch", "caffe"))
    for net, strides in ((pytorch, [(1, 1), (2, 2)]), (caffe, [(2, 2), (1, 1)])):
        for stage in (net.layer2, net.layer3, net.layer4):
            assert [stage[0].conv1.stride, stage[0].conv2.stride] == strides
            assert {conv.stride for block in stage[1:] for conv in (block.conv1, block.conv2)} == {(1, 1)}
    assert pytorch.state_dict().keys() == caffe.state_dict().keys()
    assert pytorch.output_shape() == caffe.output_shape()


@pytest.mark.parametrize(
    "stages, frozen", [(-1, set()), (0, {"conv1", "bn1"}), (2, {"conv1", "bn1", "layer1", "layer2"})]
)
def test_frozen_stages_neither_train_nor_count(stages, frozen):
    net = ResNet(18, width=4, frozen_stages=stages)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.eval()
    net.train()  # as an evaluation does; it must not thaw anything
    net(torch.randn(2, 3, 32, 32))["res5"].sum().backward()
    assert {name.split(".")[0] for name, p in net.named_parameters() if p.grad is None} == frozen
    norms = {name.split(".")[0] for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert norms == {"bn1", "layer1", "layer2", "layer3", "layer4"} - frozen


def test_all_stages_can_be_frozen_also_where_few_are_built():
    net = ResNet(18, width=4, out_features=["res3"], frozen_stages=4)
    assert not any(p.requires_grad for p in net.parameters())


def test_norm_eval_keeps_statistics_while_scales_train():
    net = ResNet(18, width=4, norm_eval=True, frozen_stages=1)
    before = {name: value.clone() for name, value in net.named_buffers()}
    net.train()
    net(torch.randn(2, 3, 32, 32))["res5"].sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())
    assert net.layer2[0].bn1.weight.grad is not None and net.layer1[0].bn1.weight.grad is None
    assert net.training and not net.layer4[0].bn1.training


@pytest.mark.parametrize("depth, last", [(18, "bn2"), (50, "bn3")])
def test_zero_init_residual_makes_each_block_the_identity(depth, last):
    net = ResNet(depth, width=4, zero_init_residual=True)
    zero = {name for name, p in net.named_parameters() if not p.any() and name.endswith("weight")}
    assert zero == {f"{name}.{last}.weight" for name, m in net.named_modules() if hasattr(m, "downsample")}
    x = torch.rand(1, net.layer2[1].conv1.in_channels, 4, 4)
    assert torch.equal(net.layer2[1](x), x)


def test_every_parameter_gets_a_gradient():
    net = ResNet(50, width=4, with_ibn=True, stem="small")
    net(torch.randn(2, 3, 16, 16))["res5"].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert all(p.grad.abs().sum() > 0 for name, p in net.named_parameters() if "conv" in name)


def test_convolutions_start_with_the_variance_that_rectifiers_need():
    torch.manual_seed(0)
    net = ResNet(18, width=32)
    for convolution in (net.conv1, net.layer1[0].conv1, net.layer3[0].downsample[0]):
        fan_out = convolution.out_channels * convolution.kernel_size[0] ** 2
        assert convolution.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    "wrong, match",
    [
        ({"depth": 20}, "depth must be one of 18, 34, 50, 101, 152, got 20"),
        ({"last_stride": 3}, "last_stride"),
        ({"stem": "tiny"}, "'imagenet', 'small', got 'tiny'"),
        ({"stem_pool": "floor"}, "stem_pool"),
        ({"width": 0}, "width"),
        ({"norm": "LN"}, "normalisation 'LN'"),
        ({"style": "tensorflow"}, "style must be one of 'pytorch', 'caffe'"),
        ({"frozen_stages": 5}, "frozen_stages must be one of -1, 0, 1, 2, 3, 4, got 5"),
        ({"out_features": ["res6"]}, "out_features must be one of 'stem', 'res2'.*got 'res6'"),
        ({"out_features": []}, "at least one of stem, res2"),
    ],
)
def test_wrong_arguments_are_named(wrong, match):
    with pytest.raises(ValueError, match=match):
        ResNet(**{"depth": 18, "width": 4, **wrong})


def test_every_key_of_the_config_arrives():
    cfg = get_cfg()
    add_backbone_config(cfg)
    keys = {"DEPTH": 34, "WIDTH": 4, "LAST_STRIDE": 1, "STEM_POOL": "ceil", "WITH_IBN": True, "NORM": "GN"}
    for key, value in keys.items():
        cfg.MODEL.BACKBONE[key] = value
    net = build_backbone(cfg)
    expected = ResNet(34, width=4, last_stride=1, stem_pool="ceil", with_ibn=True, norm="GN")
    assert repr(net) == repr(expected)
    cfg.MODEL.BACKBONE.STEM = "small"
    assert repr(build_backbone(cfg)) == repr(ResNet(34, width=4, last_stride=1, stem="small", with_ibn=True, norm="GN"))


def test_the_keys_that_detection_adds_arrive():
    cfg = get_cfg()
    add_backbone_config(cfg)
    keys = {"DEPTH": 50, "WIDTH": 4, "STYLE": "caffe", "OUT_FEATURES": ["res2", "res4"]}
    keys |= {"FROZEN_STAGES": 1, "NORM_EVAL": True, "ZERO_INIT_RESIDUAL": True}
    for key, value in keys.items():
        cfg.MODEL.BACKBONE[key] = value
    net = build_backbone(cfg)
    assert net.layer2[0].conv1.stride == (2, 2)
    assert net.output_shape() == {"res2": (16, 4), "res4": (64, 16)}
    assert {name.split(".")[0] for name, p in net.named_parameters() if not p.requires_grad} == {
        "conv1",
        "bn1",
        "layer1",
    }
    assert not net.layer3[0].bn1.training
    assert not net.layer3[0].bn3.weight.any()


@pytest.mark.parametrize("key, value", [("FROZEN_STAGES", 0), ("NORM_EVAL", True)])
def test_freezing_random_weights_is_warned_about(key, value, caplog):
    cfg = get_cfg()
    add_backbone_config(cfg)
    cfg.MODEL.BACKBONE.DEPTH, cfg.MODEL.BACKBONE.WIDTH = 18, 4
    cfg.MODEL.BACKBONE[key] = value
    build_backbone(cfg)
    assert "keep random weights" in caplog.text
    caplog.clear()
    cfg.MODEL.WEIGHTS = "some.pth"
    build_backbone(cfg)
    cfg.MODEL.WEIGHTS, cfg.MODEL.BACKBONE.PRETRAIN_PATH = "", "some.pth"
    build_backbone(cfg)
    assert not caplog.records
