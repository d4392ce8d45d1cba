import pytest
import torch

from steploop.modeling import full_precision


@full_precision
def product(a, b):
    """Docstring."""
    assert a.dtype == b.dtype
    return a @ b


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_widened_and_the_rest_left(dtype):
    a = torch.randn(3, 3, dtype=dtype)
    expected = torch.promote_types(dtype, torch.float32)
    assert product(a, a).dtype == expected
    assert product(a, b=a).dtype == expected
    assert product(a=a, b=a).dtype == expected


def test_autocast_is_off_within_and_on_again_behind():
    a = torch.randn(3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product(a, a).dtype == torch.float32
        assert (a @ a).dtype == torch.bfloat16


def test_the_function_keeps_its_name():
    assert (product.__name__, product.__doc__) == ("product", "Docstring.")
