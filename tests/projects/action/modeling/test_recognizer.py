import pytest
import torch

from action_golden import slowfast_spec, slowonly_spec
from steploop.config import ConfigError
from steploop.projects.action.modeling import ResNet3d, build_recognizer


def tiny_spec(num_classes=3):
    spec = slowonly_spec(num_classes)
    spec["backbone"] |= {"depth": 18, "base_channels": 4, "stage_blocks": (1, 1, 1, 1)}
    spec["cls_head"] |= {"in_channels": 32}
    return spec


def batch(views=2):
    generator = torch.Generator().manual_seed(0)
    imgs = torch.randint(0, 256, (3, views, 3, 4, 32, 32), dtype=torch.uint8, generator=generator)
    return {"imgs": imgs, "label": torch.tensor([0, 2, 1])}


def test_training_gives_a_loss_and_accuracies_and_clips_share_their_label():
    losses, metrics = build_recognizer(tiny_spec()).train()(batch())
    assert losses["loss_cls"].ndim == 0
    assert metrics.keys() == {"top1_acc", "top5_acc"}
    assert metrics["top5_acc"] == 1.0  # 5 is cut to 3 classes


def test_views_in_pieces_give_the_same_logits():
    whole = build_recognizer(tiny_spec()).eval()
    pieces = build_recognizer(tiny_spec(), max_testing_views=2).eval()
    pieces.load_state_dict(whole.state_dict())
    with torch.no_grad():
        expected, got = whole(batch(views=5)), pieces(batch(views=5))
        one_by_one = torch.cat([whole({"imgs": clip[None]}) for clip in batch(views=5)["imgs"]])
    assert expected.shape == (3, 5, 3)
    assert torch.allclose(got, expected, atol=1e-5)
    assert torch.allclose(one_by_one, expected, atol=1e-5)


def test_normalisation_is_that_of_mmaction():
    from action_golden import golden

    figures = golden("geometry.npz")
    frames = torch.from_numpy(figures["normalize_in"]).permute(3, 0, 1, 2)[None]
    ours = build_recognizer(tiny_spec()).normalize(frames)[0].permute(1, 2, 3, 0)
    assert torch.allclose(ours, torch.from_numpy(figures["normalize_out"]), atol=1e-5)


def test_pixels_are_no_part_of_the_weights():
    assert not any("pixel" in name for name in build_recognizer(tiny_spec()).state_dict())


def test_initial_weights():
    torch.manual_seed(0)
    model = build_recognizer(slowfast_spec(18))
    block = model.backbone.slow_path.layer2[0]
    assert (block.conv2.bn.weight == 0).all()
    assert (block.conv1.bn.weight == 1).all()
    weight = block.conv1.conv.weight
    assert weight.std().item() == pytest.approx((2 / (weight.shape[0] * 9)) ** 0.5, rel=0.05)
    lateral = model.backbone.slow_path.layer1_lateral.conv.weight
    assert lateral.std().item() == pytest.approx((2 / (lateral.shape[0] * 5)) ** 0.5, rel=0.2)
    assert model.cls_head.fc_cls.weight.std().item() == pytest.approx(0.01, rel=0.1)


def test_frozen_stages_and_statistics_stay():
    backbone = ResNet3d(18, base_channels=4, stage_blocks=(1, 1, 1, 1), frozen_stages=1).train()
    assert not any(p.requires_grad for p in backbone.conv1.parameters())
    assert not any(p.requires_grad for p in backbone.layer1.parameters())
    assert all(p.requires_grad for p in backbone.layer2.parameters())
    assert not backbone.layer1.training
    still = ResNet3d(18, base_channels=4, stage_blocks=(1, 1, 1, 1), norm_eval=True).train()
    assert not still.layer1[0].conv1.bn.training
    assert still.layer1.training


def test_several_labels():
    spec = tiny_spec()
    spec["cls_head"] |= {"multi_class": True, "label_smooth_eps": 0.1}
    losses, metrics = build_recognizer(spec).train()({**batch(), "label": torch.eye(3)})
    assert losses["loss_cls"] > 0
    assert metrics == {}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"type": "Recognizer2D"}, ConfigError, "is Recognizer3D"),
        ({"neck": {"type": "TPN"}}, ConfigError, "neck"),
        ({"backbone": {"type": "ResNet3dSlowOnly", "depth": 20}}, ValueError, "one of 18, 34, 50, 101"),
        ({"backbone": {"type": "ResNet3dSlowOnly", "depth": 18, "with_cp": True}}, ValueError, "with_cp"),
        ({"backbone": {"type": "ResNet3dSlowOnly", "depth": 18, "stage_blocks": (1,)}}, ValueError, "4 stages"),
        ({"backbone": {"type": "SlowFst", "depth": 18}}, KeyError, "SlowFst"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(change, error, message):
    with pytest.raises(error, match=message):
        build_recognizer({**tiny_spec(), **change})
