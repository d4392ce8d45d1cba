"""Reference figures of detectors, and the weights and images that they were computed with."""

import math
import zlib

import numpy as np
import torch
from torch.nn import functional as F

from shared_files import shared
from steploop.modeling.layers.boxes import pairwise_iou
from steploop.projects.detection.modeling import Pixels

SIZE = (128, 160)
_GAINS = {"retina_cls": 0.7, "retina_reg": 0.1, "rpn_cls": 4.0, "rpn_reg": 0.03, "fc_cls": 4.0, "fc_reg": 1.0}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def figures(name):
    """Return the arrays of a file of golden/detection; skips the test where it is absent."""
    return np.load(shared(f"golden/detection/{name}.npz"))


def generator(text):
    return torch.Generator().manual_seed(zlib.crc32(text.encode()))


def recipe_weights(shapes, *, role=lambda name: name):
    """Return the recipe's state dict for `shapes` (name -> tensor); `role` gives the name that sets the gain."""
    return {name: _weight(name, value, role(name)) for name, value in shapes.items()}


def _weight(name, value, role):
    if not value.is_floating_point():
        return torch.zeros_like(value)
    drawn = torch.randn(value.shape, generator=generator(name))
    if name.endswith("running_var"):
        return 1 + 0.1 * drawn.abs()
    if name.endswith("running_mean"):
        return 0.1 * drawn
    if drawn.dim() >= 2:
        gain = next((gain for part, gain in _GAINS.items() if part in role), 2.0)
        return drawn * math.sqrt(gain / drawn[0].numel())
    if name.endswith("weight"):
        return 0.6 + 0.06 * drawn
    return 0.1 * drawn - 4 if "retina_cls" in role else 0.1 * drawn


def recipe_images(count=2, size=SIZE):
    """Return RGB images (count, 3, H, W) in 0..255."""
    height, width = size
    small = torch.rand(count, 3, height // 16, width // 16, generator=generator("images")) * 255
    return F.interpolate(small, size=size, mode="bilinear", align_corners=False)


def close(ours, reference, tolerance=1e-4):
    """Assert that the largest difference is at most `tolerance` of the reference's largest value."""
    ours = np.asarray(ours.detach().double() if isinstance(ours, torch.Tensor) else ours, dtype=np.float64)
    reference = np.asarray(reference, dtype=np.float64)
    assert ours.shape == reference.shape
    if reference.size:
        assert np.abs(ours - reference).max() <= tolerance * np.abs(reference).max()


OWN_SIZE = (SIZE[0] - 10, SIZE[1] - 23)


def golden_batch(gold, truths=(0, 1)):
    """Return the batch of the golden models, with the ground truth of the images in `truths`."""
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    given = [
        (torch.from_numpy(gold[f"gt{i}"]), torch.from_numpy(gold[f"labels{i}"])) if i in truths else none
        for i in range(2)
    ]
    return {
        "image": recipe_images(),
        "size": [OWN_SIZE, SIZE],
        "padded_size": [SIZE, SIZE],
        "scale": [(0.5, 0.5), (0.8, 0.75)],
        "boxes": [boxes for boxes, _ in given],
        "labels": [labels for _, labels in given],
    }


def first_image(batch):
    """Return the batch of image 0 alone."""
    return {key: value[:1] for key, value in batch.items()}


def golden_views(batch):
    """Return the three views of image 0: as it is, mirrored, and 1.25 times as large."""
    plain = first_image(batch)
    (height, width), image = OWN_SIZE, plain["image"]
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (MEAN, STD))
    own = image[:, :, :height, :width]
    mirrored = torch.zeros_like(image)
    mirrored[:, :, :height, :width] = own.flip(3)
    size = (int(1.25 * height + 0.5), int(1.25 * width + 0.5))
    enlarged = F.interpolate((own - mean) / std, size=size, mode="bilinear", align_corners=False) * std + mean
    padded = [math.ceil(side / 32) * 32 for side in size]
    large = F.pad(enlarged, (0, padded[1] - size[1], 0, padded[0] - size[0]))
    scale = (0.5 * size[1] / width, 0.5 * size[0] / height)
    return [
        plain,
        {**plain, "image": mirrored, "flip": [True]},
        {**plain, "image": large, "size": [size], "padded_size": [tuple(padded)], "scale": [scale]},
    ]


def same_detections(ours, boxes, scores, labels, *, tolerance=1e-4, allowed=1 / 50):
    """Assert that detections are the reference's: same label, IoU > .99 and score within 1e-4, but for 1 in 50."""
    boxes, scores = torch.as_tensor(np.asarray(boxes)).float(), torch.as_tensor(np.asarray(scores)).float()
    labels = torch.as_tensor(np.asarray(labels)).long()
    assert abs(len(ours.boxes) - len(boxes)) <= max(1, len(boxes) * allowed)
    free = torch.ones(len(boxes), dtype=torch.bool)
    # An empty box overlaps nothing, itself included.
    same = (pairwise_iou(ours.boxes, boxes) > 0.99) | (torch.cdist(ours.boxes, boxes, p=float("inf")) < 0.01)
    missing = 0
    for row, (score, label) in enumerate(zip(ours.scores, ours.labels)):
        fits = free & (labels == label) & same[row] & ((scores - score).abs() <= tolerance)
        if fits.any():
            free[fits.nonzero()[0, 0]] = False
        else:
            missing += 1
    assert missing <= len(boxes) * allowed, f"{missing} of {len(boxes)} detections are not the reference's"


def reference_pixels():
    return Pixels(MEAN, STD)
