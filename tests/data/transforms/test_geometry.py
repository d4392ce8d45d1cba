import math

import numpy as np
import pytest
import torch
from PIL import Image

from steploop.data import (
    CenterCrop,
    ColorJitter,
    Compose,
    CropGeometry,
    FlipGeometry,
    Pad,
    PadToMultiple,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
    Resize,
    ResizeToFit,
    ResizeToTensor,
    Seeded,
    ToTensor,
    WarpGeometry,
    sample_rng,
    size_of,
)

SIZE = (40, 60)
MOVES = {
    "flip": RandomFlip(1.0),
    "flip down": RandomFlip(1.0, vertical=True),
    "pad": Pad(5, fill=7),
    "pad to a multiple": PadToMultiple(32),
    "crop": RandomCrop((36, 50)),
    "centre": CenterCrop((35, 50)),
    "window": RandomResizedCrop((48, 56), (0.7, 1.0)),
    "resize": Resize((80, 90)),
    "fit": ResizeToFit([(100, 64)]),
    "affine": RandomAffine(20, 0.1, (0.9, 1.4), 10),
    "erasing": RandomErasing(1.0, (0.01, 0.02)),
    "colour": ColorJitter(0.2, 0.2, 0.2, 0.1),
    "foreign": Seeded(lambda image: image),
}
MOVES["all"] = Compose([MOVES["fit"], MOVES["flip"], MOVES["affine"], MOVES["pad"], MOVES["colour"]])


def square(x, y, side=6):
    """Return a black image with a white square whose upper left corner is at (x, y)."""
    image = torch.zeros(3, *SIZE, dtype=torch.uint8)
    image[:, y : y + side, x : x + side] = 255
    return image


def noise(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def centre_of(image):
    weights = image.double().mean(0) - image.double().mean(0).min()
    rows, columns = torch.arange(image.shape[1]) + 0.5, torch.arange(image.shape[2]) + 0.5
    total = weights.sum()
    return torch.stack([(weights.sum(0) * columns).sum() / total, (weights.sum(1) * rows).sum() / total])


@pytest.mark.parametrize("name", [name for name in MOVES if name not in ("erasing",)])
@pytest.mark.parametrize("position", range(3))
def test_boxes_and_points_go_where_the_pixels_go(name, position):
    geometry = MOVES[name].draw(SIZE, sample_rng(1, position))
    image = geometry.apply_image(square(26, 15) if name != "pad" else square(26, 15))
    assert size_of(image) == geometry.new_size
    if name in ("pad", "all"):
        image = image.clamp(8) - 8
    box = torch.tensor([[26.0, 15, 32, 21]])
    middle = torch.tensor([[29.0, 18]])
    moved = geometry.apply_box(box)
    assert moved.dtype == torch.float32 and (moved[:, 2:] > moved[:, :2]).all()
    assert torch.allclose(centre_of(image).float(), geometry.apply_coords(middle)[0], atol=0.35)
    assert torch.allclose((moved[0, :2] + moved[0, 2:]) / 2, geometry.apply_coords(middle)[0], atol=1e-4)
    assert torch.allclose(geometry.inverse_coords(geometry.apply_coords(middle)), middle, atol=1e-4)
    if "affine" not in name and name != "all":
        assert torch.allclose(geometry.inverse_box(moved), box, atol=1e-4)


@pytest.mark.parametrize("name", MOVES)
def test_a_clip_is_moved_by_one_draw(name):
    frames = noise(4, 3, *SIZE)
    geometry = MOVES[name].draw(SIZE, sample_rng(1, 5))
    moved = geometry.apply_clip(frames)
    assert moved.shape == (4, 3, *geometry.new_size)
    assert all(torch.equal(moved[place], geometry.apply_image(frames[place])) for place in range(4))
    pictures = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in frames]
    if name != "erasing":
        listed = geometry.apply_clip(pictures)
        assert all(torch.equal(ToTensor()(picture), frame) for picture, frame in zip(listed, moved))


@pytest.mark.parametrize("name", MOVES)
def test_drawing_and_applying_is_calling(name):
    image, first, second = noise(3, *SIZE), sample_rng(3, 1), sample_rng(3, 1)
    transform = MOVES[name]
    assert torch.equal(transform(image, first), transform.draw(SIZE, second).apply_image(image))
    assert first.random() == second.random()


def test_a_clip_becomes_tensors():
    pictures = [Image.new("RGB", (60, 40), (n, n, n)) for n in range(3)]
    moved = Compose([RandomFlip(), ResizeToTensor((80, 120))]).draw(SIZE, sample_rng(0, 0)).apply_clip(pictures)
    assert [int(frame.max()) for frame in moved] == [0, 1, 2] and moved[0].shape == (3, 80, 120)


def test_arrays_and_precision_are_kept():
    geometry = FlipGeometry(SIZE)
    points = np.array([[0.0, 0.0], [60.0, 40.0]])
    assert np.array_equal(geometry.apply_coords(points), [[60, 0], [0, 40]])
    assert geometry.apply_coords(points.astype(np.float32)).dtype == np.float32
    assert geometry.apply_box(torch.zeros(0, 4)).shape == (0, 4)
    assert geometry.apply_coords(torch.zeros(2, 17, 2)).shape == (2, 17, 2)
    assert geometry.is_mirrored and not CropGeometry(SIZE, 0, 0, (3, 3)).is_mirrored


def test_what_cannot_be_moved_is_an_error():
    geometry = FlipGeometry(SIZE)
    with pytest.raises(TypeError, match="floating-point boxes"):
        geometry.apply_box(torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"points \(..., 2\)"):
        geometry.apply_coords(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"drawn for an image of \(40, 60\).*got one of \(60, 40\)"):
        geometry.apply_image(noise(3, 60, 40))
    with pytest.raises(ValueError, match="drawn for an image"):
        geometry.apply_clip(noise(2, 3, 60, 40))
    with pytest.raises(TypeError, match="put ToTensor before it"):
        RandomErasing(1.0)(Image.new("RGB", (20, 20)), sample_rng(0, 0))
    with pytest.raises(TypeError, match="draws no geometry"):
        Compose([lambda image, rng: image]).draw(SIZE, sample_rng(0, 0))
    with pytest.raises(ValueError, match="cannot cut"):
        CropGeometry(SIZE, 10, 0, (31, 5))


@pytest.mark.parametrize(
    ("limits", "size", "expected"),
    [
        ([(1333, 800)], (480, 640), (800, 1067)),
        ([(1333, 800)], (640, 480), (1067, 800)),
        ([(1333, 800)], (300, 1000), (400, 1333)),
        ([(math.inf, 256)], (240, 320), (256, 341)),
        ([(500, math.inf)], (100, 200), (250, 500)),
        ([(10, 10)], (1, 1000), (1, 10)),
    ],
)
def test_the_size_that_fits(limits, size, expected):
    assert ResizeToFit(limits).draw(size, sample_rng(0, 0)).new_size == expected


def test_drawn_limits_do_not_depend_on_the_image():
    """So a batch can have one scale: drawn for each of its images from the random numbers of the step."""
    several = ResizeToFit([(1333, 640), (1333, 800)])
    sides = {several.draw((100, 100), sample_rng(0, n)).new_size[0] for n in range(50)}
    assert sides == {640, 800}
    ranged = ResizeToFit([(1333, 640), (1333, 800)], sample="range")
    sides = {ranged.draw((100, 100), sample_rng(0, n)).new_size[0] for n in range(400)}
    assert min(sides) < 645 and max(sides) > 795 and len(sides) > 120
    for transform in (several, ranged):
        for n in range(20):
            one, other = (transform.draw(size, sample_rng(0, n)).new_size for size in ((100, 100), (50, 80)))
            assert one[0] == other[0]


def test_a_window_lies_inside_and_has_the_area():
    transform = RandomResizedCrop((20, 20), (0.25, 0.5), (0.5, 2.0))
    for position in range(200):
        window = transform.draw(SIZE, sample_rng(2, position)).parts[0].new_size
        assert 0.2 < window[0] * window[1] / (40 * 60) < 0.55
    # A strip in which no window has the proportions: its middle.
    strip = RandomResizedCrop((20, 20), (0.9, 1.0), (0.9, 1.1)).draw((10, 100), sample_rng(0, 0)).parts[0]
    assert strip.new_size == (10, 11) and (strip.top, strip.left) == (0, 44)


def test_a_warp_may_change_the_size_and_fill():
    half = WarpGeometry(SIZE, np.array([[2.0, 0, 0], [0, 2, 0]]), (20, 30), fill=9)
    assert half.apply_image(noise(3, *SIZE)).shape == (3, 20, 30)
    assert half.apply_coords(torch.tensor([[60.0, 40]])).tolist() == [[30, 20]]
    beyond = WarpGeometry(SIZE, np.array([[1.0, 0, 50], [0, 1, 0]]), fill=9)
    assert beyond.apply_image(square(0, 0))[:, :, 20:].eq(9).all()


def test_colours_change_in_their_range_and_are_left_alone_by_default():
    image = noise(3, *SIZE)
    assert torch.equal(ColorJitter()(image, sample_rng(0, 0)), image)
    ratios = [ColorJitter(0.5)(image, sample_rng(0, n)).double().mean() / image.double().mean() for n in range(60)]
    assert 0.48 < min(ratios) < 0.7 and 1.05 < max(ratios) < 1.5
    grey = noise(1, *SIZE).expand(3, -1, -1).contiguous()
    assert torch.equal(ColorJitter(saturation=0.9, hue=0.5)(grey, sample_rng(0, 0)), grey)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ResizeToFit([]),
        lambda: ResizeToFit([(math.inf, math.inf)]),
        lambda: ResizeToFit([(800, 0)]),
        lambda: ResizeToFit([(800, 600)], sample="all"),
        lambda: ResizeToFit([(800, 600), (math.inf, 700)], sample="range").draw(SIZE, sample_rng(0, 0)),
        lambda: PadToMultiple(0),
        lambda: RandomResizedCrop((10, 10), (0.5, 2)),
        lambda: ColorJitter(hue=0.6),
        lambda: ColorJitter(-1),
    ],
)
def test_settings_that_make_no_sense_are_errors(make):
    with pytest.raises(ValueError, match="expected|cannot draw"):
        make()
