import pytest
import torch

from detection_golden import close, figures
from steploop.projects.detection.modeling import PART_REGISTRY
from steploop.projects.detection.modeling.anchors import Anchors, within

RPN = {"scales": [8], "ratios": [0.5, 1.0, 2.0], "strides": [4, 8, 16, 32, 64]}
RETINA = {
    "octave_base_scale": 4,
    "scales_per_octave": 3,
    "ratios": [0.5, 1.0, 2.0],
    "strides": [8, 16, 32, 64, 128],
}


@pytest.mark.parametrize(("name", "options"), [("rpn", RPN), ("retina", RETINA)])
def test_golden(name, options):
    gold = figures("ops")
    anchors = PART_REGISTRY.build({"type": "AnchorGenerator", **options})
    cells = [tuple(row) for row in gold["anchor_sizes"].tolist()]
    padded = tuple(gold[f"anchor_{name}_pad_shape"].tolist())
    grid, valid = anchors.grid(cells, padded), anchors.valid(cells, padded)
    for level in range(5):
        close(anchors.base(level), gold[f"anchor_{name}_base{level}"])
        close(grid[level], gold[f"anchor_{name}_grid{level}"])
        assert valid[level].tolist() == gold[f"anchor_{name}_valid{level}"].tolist()
    for border in (-1, 0, 16):
        inside = torch.cat(valid) & within(torch.cat(grid), padded, border)
        assert inside.tolist() == gold[f"anchor_{name}_inside_border{border}"].tolist()


def test_stride_from_the_image():
    anchors = Anchors([128], [[512.0]], [1.0], stride_from_image=True)
    assert anchors.grid([(1, 2)], (128, 160))[0][1, 0] == -256 + 80


def test_rounded():
    assert Anchors([8], [[33.0]], [0.5], rounded=True).base(0).tolist() == [[-23, -12, 23, 12]]


def test_mistakes():
    with pytest.raises(ValueError, match="each of the 2 strides"):
        Anchors([8, 16], [[32]], [1.0])
    for options in ({}, {"scales": [8], "octave_base_scale": 4}):
        with pytest.raises(ValueError, match="takes scales, or octave_base_scale"):
            PART_REGISTRY.build({"type": "AnchorGenerator", "strides": [8], "ratios": [1.0], **options})
    with pytest.raises(ValueError, match="center_offset=0"):
        PART_REGISTRY.build({"type": "AnchorGenerator", **RPN, "center_offset": 0.5})
