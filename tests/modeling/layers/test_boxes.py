import numpy as np
import pytest
import torch

from detection_golden import close, figures
from steploop.modeling.layers.boxes import BoxCoder, aligned_iou, box_area, clip_boxes, pairwise_iou


def test_overlaps():
    gold = figures("ops")
    first, second = torch.from_numpy(gold["iou_a"]), torch.from_numpy(gold["iou_b"])
    close(pairwise_iou(first, second), gold["iou"])
    close(pairwise_iou(first, second, relative_to_first=True), gold["iof"])
    close(aligned_iou(first, second[:12]), gold["iou_aligned"])
    assert pairwise_iou(first[:0], second).shape == (0, 20) and pairwise_iou(first, second[:0]).shape == (12, 0)


def test_empty_boxes_overlap_nothing():
    empty = torch.tensor([[5.0, 5, 5, 9]])
    assert box_area(empty) == 0 and pairwise_iou(empty, empty) == 0


@pytest.mark.parametrize(("number", "stds"), [(1, (1.0, 1, 1, 1)), (2, (0.1, 0.1, 0.2, 0.2))])
def test_coder(number, stds):
    gold = figures("ops")
    boxes, targets, deltas, deltas3 = (
        torch.from_numpy(gold[f"coder_{name}"]) for name in ("proposals", "gts", "deltas", "deltas3")
    )
    size = tuple(gold["coder_max_shape"].tolist())
    coder = BoxCoder(stds=stds)
    close(coder.encode(boxes, targets), gold[f"coder_std{number}_encode"])
    close(coder.decode(boxes, deltas), gold[f"coder_std{number}_decode"])
    close(coder.decode(boxes, deltas, size), gold[f"coder_std{number}_decode_clip"])
    close(coder.decode(boxes, deltas3, size), gold[f"coder_std{number}_decode3_clip"])
    close(coder.decode(boxes, coder.encode(boxes, targets)), targets.numpy())


def test_coder_gradient_and_bounds():
    coder = BoxCoder(means=(0.1, 0, 0, 0), stds=(0.5, 1, 1, 2))
    boxes = torch.tensor([[0.0, 0, 10, 20], [5, 5, 9, 7]], dtype=torch.float64)
    deltas = torch.randn(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    torch.autograd.gradcheck(lambda d: coder.decode(boxes, d), (deltas,))
    tiny = torch.tensor([[0.0, 0, -50, -50]])
    box = torch.tensor([[0.0, 0, 1000, 1000]])
    sides = BoxCoder().decode(box, tiny)
    assert sides[0, 2] - sides[0, 0] == pytest.approx(16)
    unbounded = BoxCoder(bounded_below=False).decode(box, tiny)
    assert unbounded[0, 2] - unbounded[0, 0] < 1e-3
    with pytest.raises(ValueError, match="four positive stds"):
        BoxCoder(stds=(1, 1, 1, 0))


def test_clip():
    boxes = torch.tensor([[-5.0, -1, 300, 90, 10, 20, 30, 40]])
    assert clip_boxes(boxes, (50, 200)).tolist() == [[0, 0, 200, 50, 10, 20, 30, 40]]
    assert np.isfinite(clip_boxes(boxes[:0], (50, 200)).numpy()).all()
