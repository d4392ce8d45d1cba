import torch

from detection_golden import close, figures
from steploop.projects.detection.modeling.roi_extractor import RoIExtractor

STRIDES = (4, 8, 16, 32)


def test_golden():
    gold = figures("ops")
    extractor = RoIExtractor(STRIDES, 7)
    assert extractor.level_of(torch.from_numpy(gold["level_rois"])).tolist() == gold["level_of"].tolist()
    levels = [torch.from_numpy(gold[f"extract_feat{stride}"]).requires_grad_() for stride in STRIDES]
    close(extractor(levels, torch.from_numpy(gold["extract_rois"])), gold["extract_out"])


def test_no_box_at_all_keeps_every_level_in_the_graph():
    levels = [torch.randn(1, 2, 8, 8, requires_grad=True) for _ in STRIDES]
    pooled = RoIExtractor(STRIDES, 7)(levels, torch.zeros(0, 5))
    assert pooled.shape == (0, 2, 7, 7)
    pooled.sum().backward()
    assert all(level.grad is not None for level in levels)
