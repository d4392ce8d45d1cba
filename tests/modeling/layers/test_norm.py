import pytest
import torch
from torch import nn

from steploop.modeling import IBN, FrozenBatchNorm2d, get_norm
from steploop.modeling.layers.norm import GhostBatchNorm2d


@pytest.mark.parametrize("norm", ["BN", "SyncBN", "FrozenBN", "GN", "IBN"])
@pytest.mark.parametrize("channels", [2, 7, 24, 64])
def test_every_norm_keeps_the_shape_for_any_number_of_channels(norm, channels):
    x = torch.randn(3, channels, 4, 5)
    assert get_norm(norm, channels)(x).shape == x.shape


def test_an_unknown_norm_names_the_known_ones():
    with pytest.raises(ValueError, match="'LN'.*BN, SyncBN, FrozenBN, GhostBN, GN"):
        get_norm("LN", 4)


def test_group_norm_has_32_groups_where_they_divide():
    assert get_norm("GN", 256).num_groups == 32
    assert get_norm("GN", 24).num_groups == 8


def test_frozen_batch_norm_never_changes():
    norm = FrozenBatchNorm2d(3)
    x = torch.randn(8, 3, 2, 2) * 5 + 1
    parent = nn.Sequential(norm).train()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    torch.testing.assert_close(parent(x), x, rtol=1e-4, atol=1e-4)
    assert not norm.training
    assert not any(parameter.requires_grad for parameter in norm.parameters())
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_frozen_and_learned_batch_norm_load_each_other():
    learned = nn.BatchNorm2d(3)
    learned(torch.randn(8, 3, 2, 2) * 5 + 1)
    frozen = FrozenBatchNorm2d(3)
    frozen.load_state_dict(learned.state_dict())
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(frozen(x), learned.eval()(x))
    learned.load_state_dict(frozen.state_dict())


def test_ibn_normalises_the_first_half_by_image_and_the_rest_by_batch():
    norm = IBN(5).train()
    x = torch.randn(4, 5, 6, 6) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1, 1) + 3
    y = norm(x)
    torch.testing.assert_close(y[:, :2].mean((2, 3)), torch.zeros(4, 2), atol=1e-4, rtol=0)
    assert y[:, 2:].mean((2, 3)).abs().max() > 0.01
    torch.testing.assert_close(y[:, 2:].mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    assert isinstance(norm.IN, nn.InstanceNorm2d)
    assert isinstance(IBN(4, "GN").BN, nn.GroupNorm)


def test_ghost_normalisation_sees_parts_of_a_batch():
    ghost, plain = GhostBatchNorm2d(3, num_splits=2), torch.nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 5, 2)
    torch.testing.assert_close(ghost(x), torch.cat([torch.nn.BatchNorm2d(3)(part) for part in x.chunk(2)]))
    means = [part.mean(dim=(0, 2, 3)) for part in x.chunk(2)]
    variances = [part.transpose(0, 1).flatten(1).var(dim=1) for part in x.chunk(2)]
    torch.testing.assert_close(ghost.running_mean, 0.1 * sum(means) / 2)
    torch.testing.assert_close(ghost.running_var, 0.9 + 0.1 * sum(variances) / 2)
    plain.load_state_dict(ghost.state_dict())
    torch.testing.assert_close(ghost.eval()(x), plain.eval()(x))
    torch.testing.assert_close(get_norm("GhostBN", 3)(x), torch.nn.BatchNorm2d(3)(x))
    with pytest.raises(ValueError, match="a batch of 3 cannot be split into 2"):
        ghost.train()(x[:3])
