import torch

from steploop.modeling.layers.non_local import NonLocal


def test_it_starts_as_the_identity():
    x = torch.randn(2, 8, 3, 4)
    torch.testing.assert_close(NonLocal(8)(x), x)


def test_agrees_with_the_definition():
    block = NonLocal(6, inner_channels=2).eval()
    torch.nn.init.normal_(block.W[1].weight)
    x = torch.randn(2, 6, 3, 4)
    theta, phi, g = (layer(x).flatten(2) for layer in (block.theta, block.phi, block.g))
    weights = theta.transpose(1, 2) @ phi / 12
    seen = (weights @ g.transpose(1, 2)).transpose(1, 2).view(2, 2, 3, 4)
    torch.testing.assert_close(block(x), block.W(seen) + x)
