import ast

import pytest
import torch

from detection_golden import close, figures
from steploop.projects.detection.modeling.assigner import MaxIoUAssigner


@pytest.mark.parametrize("number", range(7))
def test_golden(number):
    gold = figures("ops")
    name, _, text = str(gold["assign_configs"][number]).partition(": ")
    assign = MaxIoUAssigner(**ast.literal_eval(text))
    boxes, truth, ignored = (torch.from_numpy(gold[f"assign_{part}"]) for part in ("anchors", "gts", "ignore"))
    result = assign(boxes, truth, ignored)
    assert result.truth.tolist() == gold[f"assign_{name}_gt_inds"].tolist()
    close(result.overlaps, gold[f"assign_{name}_max_overlaps"])
    labels = torch.from_numpy(gold["assign_labels"])
    own = torch.where(result.truth > 0, labels[result.truth - 1], -1)
    assert own.tolist() == gold[f"assign_{name}_labels"].tolist()
    assert assign(boxes, truth[:0], ignored).truth.tolist() == gold[f"assign_{name}_nogt_gt_inds"].tolist()
    assert assign(boxes[:0], truth, ignored).truth.shape == (0,)


def test_a_ground_truth_without_an_area_takes_no_box():
    gold = figures("ops")
    boxes, truth = torch.from_numpy(gold["assign_anchors"]), torch.from_numpy(gold["assign_gts"])
    assign = MaxIoUAssigner(0.5, 0.4, min_pos_iou=0.0)
    empty = torch.cat((truth, torch.tensor([[30.0, 30, 30, 50]])))
    assert assign(boxes, empty).truth.tolist() == assign(boxes, truth).truth.tolist()
