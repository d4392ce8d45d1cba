import pytest
import torch

from steploop.modeling import GeneralizedMeanPooling, GeneralizedMeanPoolingP, build_pooling

NAMES = ["GlobalAvgPool", "GlobalMaxPool", "AdaptiveAvgMaxPool", "GeneralizedMeanPooling", "GeneralizedMeanPoolingP"]


@pytest.mark.parametrize("name", NAMES)
def test_every_pooling_leaves_one_position(name):
    assert build_pooling(name)(torch.rand(2, 5, 3, 4)).shape == (2, 5, 1, 1)


def test_values():
    x = torch.tensor([1.0, 2.0, 3.0, 6.0]).view(1, 1, 2, 2)
    values = {name: build_pooling(name)(x).item() for name in NAMES}
    power_mean = (252 / 4) ** (1 / 3)  # 1 + 8 + 27 + 216 = 252
    expected = [3.0, 6.0, 9.0, power_mean, power_mean]
    assert values == pytest.approx(dict(zip(NAMES, expected)))


def test_the_generalised_mean_lies_between_mean_and_maximum():
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(GeneralizedMeanPooling(1.0)(x), build_pooling("GlobalAvgPool")(x))
    torch.testing.assert_close(GeneralizedMeanPooling(200.0)(x), build_pooling("GlobalMaxPool")(x), rtol=0.02, atol=0)


def test_only_the_p_variant_learns_its_exponent():
    assert list(GeneralizedMeanPooling().state_dict()) == []
    pooling = GeneralizedMeanPoolingP()
    assert {name: tuple(value.shape) for name, value in pooling.state_dict().items()} == {"p": (1,)}
    pooling(torch.rand(2, 3, 4, 4)).sum().backward()
    assert pooling.p.grad.abs().item() > 0


def test_the_generalised_mean_survives_half_precision_and_zeros():
    x = torch.zeros(1, 2, 2, 2, dtype=torch.float16)
    x[0, 0] = 1e-3  # its third power is below the smallest float16
    x.requires_grad_()
    y = GeneralizedMeanPooling().half()(x)
    assert y.dtype == torch.float16
    assert y[0, 0].item() == pytest.approx(1e-3, rel=1e-2)
    y.sum().backward()
    assert x.grad.isfinite().all()


def test_errors():
    with pytest.raises(ValueError, match="'Avg'.*GlobalAvgPool"):
        build_pooling("Avg")
    with pytest.raises(ValueError, match="positive"):
        GeneralizedMeanPooling(0)
