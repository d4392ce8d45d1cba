"""Geometry as MMAction2 computes it, and one draw for all frames."""

import numpy as np
import pytest

from action_golden import golden
from steploop.projects.action.data.clip_transforms import (
    CenterCrop,
    ColorJitter,
    Flip,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    TenCrop,
    ThreeCrop,
    new_size,
    resize,
)

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_sizes_of_resize():
    for height, width, first, second, new_height, new_width in golden("geometry.npz")["resize_keep_ratio"].tolist():
        assert new_size(width, height, (first, second)) == (new_width, new_height)


def test_boxes_of_crops():
    kinds = {0: CenterCrop, 1: ThreeCrop, 2: TenCrop}
    for height, width, kind, size, place, *box in golden("geometry.npz")["crops"].tolist():
        assert list(kinds[kind](size).boxes(width, height)[place]) == box


def test_pixels_of_resize_are_those_of_opencv():
    figures = golden("geometry.npz")
    ours = resize(figures["resize_in"][None], 9, 7)[0].astype(int)
    assert np.abs(ours - figures["resize_9x7_bilinear_cv2"]).max() <= 1


def test_the_shares_of_random_resized_crops():
    crop, generator = RandomResizedCrop(), rng()
    boxes = np.array([crop.draw(340, 256, generator) for _ in range(4000)])
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    figures = golden("geometry.npz")
    quantiles = np.quantile(widths * heights / (340 * 256), [0.05, 0.25, 0.5, 0.75, 0.95])
    assert quantiles == pytest.approx(figures["random_resized_crop_area_quantiles"], abs=0.03)
    low, high = figures["random_resized_crop_ratio_range"]
    assert low - 0.02 <= (widths / heights).min()
    assert (widths / heights).max() <= high + 0.02
    assert boxes.min() >= 0
    assert (boxes[:, 2] <= 340).all()


@pytest.mark.parametrize(
    "transform",
    [
        RandomResizedCrop(), RandomCrop(12), Flip(0.5), ColorJitter(0.4, 0.4, 0.4), Resize((-1, 10)),
        Resize((9, 7), False),
    ],
)  # fmt: skip
def test_all_frames_get_the_same_draw_and_it_follows_from_the_generator(transform):
    same = np.repeat(FRAMES[:1], 4, axis=0)
    for seed in range(4):
        once, again = (transform(same, {"label": 0}, rng(seed)) for _ in range(2))
        assert (once == once[:1]).all()
        assert np.array_equal(once, again)


def test_flip_mirrors_the_label_too():
    flip = Flip(1.0, flip_label_map={1: 2, "2": 1})
    for label, mirrored in [(0, 0), (1, 2), (2, 1)]:
        facts = {"label": label}
        assert np.array_equal(flip(FRAMES, facts, rng()), FRAMES[:, :, ::-1])
        assert facts["label"] == mirrored
    facts = {"label": 1}
    assert Flip(0.0, flip_label_map={1: 2})(FRAMES, facts, rng()) is FRAMES
    assert facts["label"] == 1
    assert np.array_equal(Flip(1.0, "vertical")(FRAMES, {}, rng()), FRAMES[:, ::-1])


def test_what_does_not_fit_is_refused_with_both_sizes():
    for transform in (CenterCrop(21), RandomCrop(21), ThreeCrop(21)):
        with pytest.raises(ValueError, match="21 x 21 does not fit into frames of 30 x 20"):
            transform(FRAMES, {}, rng())
    with pytest.raises(ValueError, match="has no side of the frames"):
        ThreeCrop(10)(FRAMES, {}, rng())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Resize((0, -1)), lambda: Resize((-1, 9), keep_ratio=False), lambda: Flip(2.0), lambda: Flip(0.5, "up"),
        lambda: CenterCrop(0), lambda: ColorJitter(hue=0.1), lambda: RandomResizedCrop((0.0, 1.0)),
        lambda: Resize(5, interpolation="area"),
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="is|are|lies"):
        make()
