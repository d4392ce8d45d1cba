import pytest
import torch

from steploop.modeling.backbones.vit import VisionTransformer, ViTShape, convert_vit, resize_positions

SHAPE = ViTShape(width=8, depth=2, heads=2, mlp_ratio=2.0, qkv_bias=True, scale=None, eps=1e-6)


def test_overlapping_patches():
    net = VisionTransformer(SHAPE, (40, 28), stride=(12, 12))
    assert net.grid == (3, 2)
    assert net(torch.randn(2, 3, 40, 28))["token"].shape == (2, 8, 1, 1)
    assert net.output_shape()["token"].channels == 8


def test_images_of_another_size_are_named():
    with pytest.raises(ValueError, match=r"positions for images of \(32, 32\), got \(48, 32\)"):
        VisionTransformer(SHAPE, (32, 32))(torch.randn(1, 3, 48, 32))
    with pytest.raises(ValueError, match="at least 16x16"):
        VisionTransformer(SHAPE, (8, 32))


def test_whole_samples_are_dropped_in_training_only():
    net = VisionTransformer(SHAPE, (32, 32), drop_path=0.9)
    assert [block.drop_path for block in net.blocks] == [0.0, 0.9]
    images = torch.randn(8, 3, 32, 32)
    assert torch.equal(net.eval()(images)["token"], net(images)["token"])
    net.train()
    assert not torch.equal(net(images)["token"], net(images)["token"])


def test_positions_of_another_grid():
    table = torch.arange(5.0).view(1, 5, 1).expand(1, 5, 8)
    resized = resize_positions(table, (2, 2))
    torch.testing.assert_close(resized, table)
    assert resize_positions(table, (4, 3)).shape == (1, 13, 8)
    assert resize_positions(table, (4, 3))[0, 0, 0] == 0
    with pytest.raises(ValueError, match="is not that of a class token"):
        resize_positions(torch.zeros(1, 4, 8), (2, 2))


def test_a_distilled_file_of_another_grid():
    net = VisionTransformer(SHAPE, (48, 32))
    state = dict(VisionTransformer(SHAPE, (32, 32)).state_dict())
    table = state["pos_embed"]
    state["pos_embed"] = torch.cat((table[:, :1], torch.full((1, 1, 8), 7.0), table[:, 1:]), dim=1)
    state["dist_token"] = torch.zeros(1, 1, 8)
    converted = convert_vit(state, net.state_dict(), net.grid)
    assert net.load_state_dict(dict(converted)).missing_keys == []
