import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from golden_reid import fill, golden_cfg, golden_images
from shared_files import shared
from steploop.config import get_cfg
from steploop.modeling import META_ARCH_REGISTRY, build_model
from steploop.projects.reid.config import add_reid_config
from steploop.projects.reid.modeling import Baseline


def make_cfg(*overrides):
    cfg = get_cfg()
    add_reid_config(cfg)
    cfg.MODEL.DEVICE = "cpu"
    cfg.merge_from_list(list(overrides))
    return cfg


def tiny_cfg(*overrides):
    backbone = ["MODEL.BACKBONE.DEPTH", 18, "MODEL.BACKBONE.WIDTH", 4, "MODEL.BACKBONE.STEM", "small"]
    return make_cfg(*backbone, "MODEL.HEADS.NUM_CLASSES", 3, *overrides)


def tiny(*overrides):
    return build_model(tiny_cfg(*overrides))


def make_batch(size=6, dtype=torch.uint8):
    images = torch.randint(0, 256, (size, 3, 32, 16), generator=torch.Generator().manual_seed(0))
    return {"images": images.to(dtype), "targets": torch.arange(size) % 3, "camids": torch.zeros(size), "img_paths": []}


# The reference figures.


@pytest.mark.parametrize(("name", "options"), [("bagtricks_R50", {}), ("bagtricks_R50-ibn", {"WITH_IBN": True})])
def test_features_and_losses_are_golden(name, options):
    with np.load(shared(f"golden/{name}.npz")) as file:
        golden = {key: torch.from_numpy(file[key]) for key in file}
    model = build_model(golden_cfg(**{f"MODEL__BACKBONE__{key}": value for key, value in options.items()}))
    fill(model)
    images = golden_images((256, 128))
    with torch.no_grad():
        features = model.eval()({"images": images})
        losses, _ = model.train()({"images": images, "targets": torch.tensor([0, 0, 1, 1])})
    for actual, expected in [(features, golden["features"])] + [(losses[key], golden[key]) for key in losses]:
        assert (actual - expected).abs().max() <= 1e-4 * expected.abs().max()


# The contract of a model.


def test_train_mode_gives_losses_and_metrics():
    losses, metrics = tiny().train()(make_batch())
    assert list(losses) == ["loss_cls", "loss_triplet"]
    assert list(metrics) == ["cls_accuracy"]
    assert all(value.shape == () for value in (*losses.values(), *metrics.values()))
    assert all(value.requires_grad for value in losses.values())
    assert not metrics["cls_accuracy"].requires_grad


def test_accuracy_is_the_share_of_right_answers():
    model = tiny("MODEL.HEADS.WITH_BNNECK", False).train()
    with torch.no_grad():
        model.heads.weight.zero_()  # equal logits: the first class is predicted
    _, metrics = model(make_batch(6))
    assert metrics["cls_accuracy"].item() == pytest.approx(1 / 3)


def test_eval_mode_gives_embeddings_and_needs_only_images():
    with torch.no_grad():
        assert tiny().eval()({"images": make_batch()["images"]}).shape == (6, 32)


def test_bytes_and_floats_give_the_same_and_stay_unchanged():
    model = tiny().eval()
    images = make_batch()["images"]
    floats = images.float()
    before = floats.clone()
    with torch.no_grad():
        first = model({"images": floats})
        second = model({"images": floats})  # normalised in place, it would be normalised twice
        assert torch.equal(first, second)
        assert torch.equal(first, model({"images": images}))
    assert torch.equal(floats, before)


def test_images_are_normalised_by_the_config():
    model = tiny("MODEL.PIXEL_MEAN", [10.0, 20.0, 30.0], "MODEL.PIXEL_STD", [1.0, 2.0, 4.0])
    images = torch.full((1, 3, 2, 2), 50, dtype=torch.uint8)
    assert model.normalize(images)[0, :, 0, 0].tolist() == [40.0, 15.0, 5.0]


def test_every_trained_parameter_gets_a_gradient():
    model = tiny("MODEL.BACKBONE.WITH_IBN", True).train()
    losses, _ = model(make_batch())
    sum(losses.values()).backward()
    assert {name for name, p in model.named_parameters() if p.grad is None} == {"heads.bottleneck.0.bias"}


def test_a_few_steps_learn_the_batch():
    torch.manual_seed(0)
    model = tiny("MODEL.LOSSES.CE.EPSILON", 0.0).train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    batch = make_batch()
    history = []
    for _ in range(15):
        losses, metrics = model(batch)
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.detach())
    assert history[-1] < 0.5 * history[0]
    assert metrics["cls_accuracy"] == 1


def test_losses_are_float32_under_autocast():
    model = tiny("MODEL.LOSSES.NAME", ("CrossEntropyLoss", "TripletLoss", "CircleLoss", "Cosface")).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses, _ = model(make_batch())
    assert len(losses) == 4
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()


@pytest.mark.parametrize("cls_layer", ["Linear", "CosSoftmax", "ArcSoftmax", "CircleSoftmax"])
def test_nothing_is_read_from_the_device(cls_layer):
    with FakeTensorMode():  # a fake tensor has no value: reading one is an error
        model = Baseline(tiny_cfg("MODEL.HEADS.CLS_LAYER", cls_layer)).train()
        losses, _ = model({"images": torch.zeros(6, 3, 32, 16, dtype=torch.uint8), "targets": torch.zeros(6).long()})
        sum(losses.values()).backward()


def test_wrong_batches_are_named():
    model = tiny()
    batch = make_batch()
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(6, 1, 32, 16\)"):
        model({**batch, "images": batch["images"][:, :1]})
    with pytest.raises(ValueError, match=r"got \(3, 32, 16\)"):
        model({**batch, "images": batch["images"][0]})
    with pytest.raises(KeyError, match="targets"):
        model({"images": batch["images"]})


def test_importing_the_package_registers_the_model():
    assert META_ARCH_REGISTRY.get("Baseline") is Baseline


def test_an_image_can_be_looked_at_in_several_orientations():
    cfg = get_cfg()
    add_reid_config(cfg)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.BACKBONE.DEPTH = 18
    cfg.MODEL.BACKBONE.WIDTH = 8
    cfg.MODEL.HEADS.NUM_CLASSES = 3
    cfg.TEST.TURNS = 4
    model = build_model(cfg).eval()
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    embedding = model({"images": images})
    assert embedding.shape == (2, 4 * 64)
    turned = model({"images": images.rot90(1, dims=(2, 3))})
    torch.testing.assert_close(turned, embedding.roll(-64, dims=1))
    cfg.TEST.TURNS = 3
    with pytest.raises(ValueError, match="TEST.TURNS is 1, 2 or 4"):
        build_model(cfg)


def test_the_mirrored_image_counts_as_much():
    model, batch = tiny("TEST.FLIP.ENABLED", True).eval(), make_batch()
    plain = tiny().eval()
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        both = [plain({"images": images}) for images in (batch["images"], batch["images"].flip(3))]
        torch.testing.assert_close(model(batch), (both[0] + both[1]) / 2)
    assert not torch.equal(*both)
