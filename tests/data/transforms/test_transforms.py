import random

import numpy as np
import pytest
import torch
from PIL import Image

from steploop.data import (
    Compose,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    Resize,
    Seeded,
    ToTensor,
    sample_rng,
)


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(0, 256, size=(16, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def rng(position=0):
    return sample_rng(1, position)


PIPELINE = Compose(
    [Resize((20, 12)), RandomFlip(), Pad(2), RandomCrop((20, 12)), RandomAffine(10, 0.1, (0.9, 1.1), 5), ToTensor(),
     RandomErasing(0.9)]
)  # fmt: skip


def test_a_pipeline_is_a_function_of_image_and_generator(image):
    before = np.asarray(image).copy()
    first = PIPELINE(image, rng())
    assert torch.equal(first, PIPELINE(image, rng()))
    assert not torch.equal(first, PIPELINE(image, rng(1)))
    assert (first.dtype, tuple(first.shape)) == (torch.uint8, (3, 20, 12))
    assert np.array_equal(np.asarray(image), before)


@pytest.mark.parametrize("position", range(20))
def test_a_tensor_gets_the_pixels_and_the_draws_of_a_pil_image(image, position):
    steps = [RandomFlip(), Pad(2), RandomCrop((14, 7)), RandomAffine(10, 0.1, (0.9, 1.1), 5)]
    for transform in (*steps, Compose(steps)):
        first, second = rng(position), rng(position)
        expected = ToTensor()(transform(image, first))
        tensor = ToTensor()(image)
        before = tensor.clone()
        assert torch.equal(transform(tensor, second), expected)
        assert torch.equal(tensor, before), "the given one stays as it is"
        assert first.random() == second.random()


def test_global_generators_have_no_part_in_it(image):
    first = PIPELINE(image, rng())
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    assert torch.equal(PIPELINE(image, rng()), first)


def test_to_tensor_is_exact_and_owns_its_memory(image):
    tensor = ToTensor()(image, rng())
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), np.asarray(image))
    tensor.zero_()
    assert np.asarray(image).any()


def test_flip_probability(image):
    assert np.array_equal(np.asarray(RandomFlip(1.0)(image, rng())), np.asarray(image)[:, ::-1])
    assert RandomFlip(0.0)(image, rng()) is image
    flipped = sum(RandomFlip(0.3)(image, rng(i)) is not image for i in range(2000))
    assert 500 < flipped < 700


def test_resize_takes_height_first(image):
    assert Resize((4, 6))(image, rng()).size == (6, 4)
    assert Resize((16, 8))(image, rng()) is image


def test_pad_and_crop(image):
    padded = Pad(3)(image, rng())
    assert padded.size == (14, 22) and padded.getpixel((0, 0)) == (0, 0, 0)
    places = {RandomCrop((16, 8))(padded, rng(i)).tobytes() for i in range(300)}
    assert len(places) == 49
    for given in (image, ToTensor()(image)):
        with pytest.raises(ValueError, match="cannot cut 20 x 8 .* out of 16 x 8"):
            RandomCrop((20, 8))(given, rng())


def test_an_affine_that_changes_nothing(image):
    assert np.array_equal(np.asarray(RandomAffine()(image, rng())), np.asarray(image))


def test_an_affine_repeats_the_border_where_it_looks_outside():
    white = Image.new("RGB", (9, 9), (250, 250, 250))
    turned = RandomAffine(degrees=40, translate=0.4, scale=(0.5, 0.6), shear=20)
    assert all(np.asarray(turned(white, rng(i))).min() == 250 for i in range(20))


def test_erasing_fills_one_rectangle_of_the_given_share():
    image = torch.full((3, 40, 20), 200, dtype=torch.uint8)
    shares = []
    for position in range(300):
        erased = RandomErasing(1.0, value=[1, 2, 3])(image, rng(position))
        hit = erased[0] == 1
        rows, columns = hit.any(1).nonzero(), hit.any(0).nonzero()
        assert hit.sum() == len(rows) * len(columns)
        assert torch.equal(erased[:, hit].unique(dim=1), torch.tensor([[1], [2], [3]], dtype=torch.uint8))
        shares.append(hit.float().mean().item())
    assert 0.01 < min(shares) < 0.05 and 0.35 < max(shares) < 0.45
    assert image.eq(200).all()


def test_foreign_transforms_are_seeded_and_the_generators_put_back():
    def foreign(image):
        return random.random(), np.random.rand(), torch.rand(1).item()

    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    assert Seeded(foreign)(None, rng()) == Seeded(foreign)(None, rng()) != Seeded(foreign)(None, rng(1))

    def fail(image):
        random.random(), np.random.rand(), torch.rand(1)
        raise OSError

    with pytest.raises(OSError):
        Seeded(fail)(None, rng())
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Resize((4,)),
        lambda: Resize((0, 4)),
        lambda: Resize((4, 4), "best"),
        lambda: RandomFlip(1.5),
        lambda: Pad(-1),
        lambda: RandomCrop((4, -4)),
        lambda: RandomAffine(degrees=-1),
        lambda: RandomAffine(scale=(0, 1)),
        lambda: RandomAffine(shear=90),
        lambda: RandomErasing(area=(0.5, 0.2)),
        lambda: RandomErasing(p=-0.1),
    ],
)
def test_settings_that_make_no_sense_are_errors(make):
    with pytest.raises(ValueError, match="expected"):
        make()
