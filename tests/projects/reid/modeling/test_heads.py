import pytest
import torch

from steploop.config import get_cfg
from steploop.projects.reid.config import add_reid_config
from steploop.projects.reid.modeling import REID_HEADS_REGISTRY, EmbeddingHead, build_heads

TARGETS = torch.tensor([0, 0, 1, 2])


def shapes(head):
    return {name: tuple(value.shape) for name, value in head.state_dict().items()}


def neck(index, channels):
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"bottleneck.{index}.{part}": (channels,) for part in parts} | {
        f"bottleneck.{index}.num_batches_tracked": ()
    }


def test_names_and_shapes():
    assert shapes(EmbeddingHead(8, 3)) == {"weight": (3, 8), **neck(0, 8)}
    assert shapes(EmbeddingHead(8, 3, with_bnneck=False)) == {"weight": (3, 8)}
    assert shapes(EmbeddingHead(8, 3, embedding_dim=5)) == {
        "weight": (3, 5),
        "bottleneck.0.weight": (5, 8, 1, 1),
        **neck(1, 5),
    }


@pytest.mark.parametrize("embedding_dim, dim", [(0, 8), (5, 5)])
@pytest.mark.parametrize("with_bnneck", [True, False])
def test_eval_gives_the_feature_behind_the_neck(embedding_dim, dim, with_bnneck):
    head = EmbeddingHead(8, 3, embedding_dim=embedding_dim, with_bnneck=with_bnneck).eval()
    x = torch.randn(4, 8, 3, 2)
    y = head(x)
    assert y.shape == (4, dim)
    torch.testing.assert_close(y, head.bottleneck(x.mean((2, 3), keepdim=True))[..., 0, 0])


def test_the_samples_losses_see_the_chosen_side_of_the_neck():
    x = torch.randn(4, 8, 3, 2)
    before = EmbeddingHead(8, 3, neck_feat="before")(x, TARGETS).features
    after = EmbeddingHead(8, 3, neck_feat="after")(x, TARGETS).features
    torch.testing.assert_close(before, x.mean((2, 3)))
    torch.testing.assert_close(after.mean(0), torch.zeros(8), atol=1e-6, rtol=0)
    assert not torch.allclose(before, after)


def test_the_scale_is_in_both_logits_and_the_margin_in_one():
    head = EmbeddingHead(8, 3, cls_layer="CosSoftmax", scale=10.0, margin=0.5)
    outputs = head(torch.randn(4, 8, 3, 2), TARGETS)
    difference = outputs.pred_class_logits - outputs.cls_outputs
    torch.testing.assert_close(difference, 5.0 * torch.nn.functional.one_hot(TARGETS, 3).float())
    assert outputs.pred_class_logits.abs().max() <= 10.0 + 1e-5
    assert not outputs.pred_class_logits.requires_grad


def test_the_necks_bias_gets_no_gradient_and_all_else_does():
    head = EmbeddingHead(8, 3, embedding_dim=5, pool_layer="GeneralizedMeanPoolingP", neck_feat="after")
    outputs = head(torch.rand(4, 8, 3, 2), TARGETS)
    (outputs.cls_outputs.square().sum() + outputs.features.pow(3).sum()).backward()
    assert {name for name, p in head.named_parameters() if p.grad is None} == {"bottleneck.1.bias"}
    assert not head.bottleneck[1].bias.requires_grad


def test_the_classifier_starts_small():
    torch.manual_seed(0)
    assert EmbeddingHead(64, 100).weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"num_classes": 0}, "at least 2 identities, got 0: set MODEL.HEADS.NUM_CLASSES"),
        ({"neck_feat": "behind"}, "NECK_FEAT.*'before', 'after', got 'behind'"),
        ({"norm": "GN"}, "HEADS.NORM.*'BN', 'SyncBN', 'GhostBN', got 'GN'"),
        ({"pool_layer": "Max"}, "pooling 'Max'"),
        ({"cls_layer": "Softmax"}, "layer 'Softmax'"),
    ],
)
def test_wrong_arguments_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        EmbeddingHead(**{"feat_dim": 8, "num_classes": 3, **arguments})


def test_training_needs_targets():
    with pytest.raises(ValueError, match="targets"):
        EmbeddingHead(8, 3)(torch.randn(4, 8, 3, 2))


def test_every_key_of_the_config_arrives():
    cfg = get_cfg()
    add_reid_config(cfg)
    options = {
        "NUM_CLASSES": 7,
        "EMBEDDING_DIM": 5,
        "NORM": "SyncBN",
        "NECK_FEAT": "after",
        "POOL_LAYER": "GlobalMaxPool",
        "CLS_LAYER": "ArcSoftmax",
        "SCALE": 30.0,
        "MARGIN": 0.5,
    }
    for key, value in options.items():
        cfg.MODEL.HEADS[key] = value
    expected = EmbeddingHead(
        8,
        7,
        embedding_dim=5,
        norm="SyncBN",
        neck_feat="after",
        pool_layer="GlobalMaxPool",
        cls_layer="ArcSoftmax",
        scale=30.0,
        margin=0.5,
    )
    head = build_heads(cfg, 8)
    assert repr(head) == repr(expected)
    assert (head.neck_feat, shapes(head)) == ("after", shapes(expected))
    cfg.MODEL.HEADS.WITH_BNNECK = False
    assert repr(build_heads(cfg, 8).bottleneck) == repr(expected.bottleneck[:1])


def test_an_unknown_head_is_reported():
    cfg = get_cfg()
    add_reid_config(cfg)
    cfg.MODEL.HEADS.NAME = "NoSuchHead"
    assert "EmbeddingHead" in REID_HEADS_REGISTRY
    with pytest.raises(KeyError, match="NoSuchHead"):
        build_heads(cfg, 8)
