import numpy as np
import pytest
import torch
from PIL import Image

from steploop.data import Resize, ResizeToTensor, ToTensor
from steploop.data.transforms.doubling import double


def picture(height, width, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, size=(height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("height", [1, 2, 3, 16, 37])
@pytest.mark.parametrize("width", [1, 2, 5, 64])
def test_doubling_gives_the_pixels_of_pillow(height, width):
    for seed in range(5):
        image = picture(height, width, seed)
        expected = np.asarray(image.resize((2 * width, 2 * height), Image.Resampling.BILINEAR))
        assert np.array_equal(double(np.asarray(image).transpose(2, 0, 1)).transpose(1, 2, 0), expected)


def test_doubling_every_pair_of_neighbours():
    # Each value beside each other one, in both directions: no step is too large for the small numbers.
    left, right = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    pairs = np.stack(3 * [np.stack([left.ravel(), right.ravel()], axis=1)])
    columns = Image.fromarray(pairs[0])
    expected = np.asarray(columns.resize((4, 2 * columns.height), Image.Resampling.BILINEAR))
    assert np.array_equal(double(pairs)[1], expected)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(16, 8), (32, 16), (32, 17), (8, 4), (20, 30)])
def test_in_one_or_in_two(size, interpolation):
    image = picture(16, 8)
    two = ToTensor()(Resize(size, interpolation)(image))
    one = ResizeToTensor(size, interpolation)(image)
    assert torch.equal(one, two)
    assert one.is_contiguous() and one.dtype == torch.uint8


def test_what_has_the_size_already_is_copied():
    image = picture(16, 8)
    ResizeToTensor((16, 8))(image).zero_()
    assert np.asarray(image).any()


def test_grey_images_get_three_channels():
    assert ToTensor()(Image.new("L", (4, 6), 9)).eq(9).all()
    assert ResizeToTensor((12, 8))(Image.new("L", (4, 6), 9)).shape == (3, 12, 8)
