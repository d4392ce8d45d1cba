import pytest
import torch

from detection_golden import close, figures
from steploop.modeling.layers import nms as module
from steploop.modeling.layers.nms import batched_nms, multiclass_nms, nms, soft_nms, suppress
from steploop.modeling.layers.torchvision_operators import VARIABLE, torchvision_operators


@pytest.fixture(params=["torch", "torchvision"])
def operators(request, monkeypatch):
    monkeypatch.setenv(VARIABLE, request.param)
    torchvision_operators.cache_clear()
    try:
        torchvision_operators()
    except RuntimeError as err:
        pytest.skip(str(err))
    finally:
        monkeypatch.undo()
    yield request.param
    torchvision_operators.cache_clear()


def golden_boxes():
    gold = figures("ops")
    return gold, *(torch.from_numpy(gold[f"nms_{name}"]) for name in ("boxes", "scores", "classes"))


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_golden(threshold):
    gold, boxes, scores, classes = golden_boxes()
    assert nms(boxes, scores, threshold).tolist() == gold[f"nms_keep_{threshold}"].tolist()
    assert batched_nms(boxes, scores, classes, threshold).tolist() == gold[f"batched_nms_keep_{threshold}"].tolist()


def test_the_gpu_s_formulation_keeps_the_same():
    gold, boxes, scores, _ = golden_boxes()
    order = scores.argsort(descending=True, stable=True)
    for threshold in (0.3, 0.5, 0.7):
        overlapping = module.pairwise_iou(boxes[order], boxes[order]) > threshold
        assert order[module._fixed_point(overlapping)].tolist() == gold[f"nms_keep_{threshold}"].tolist()


@pytest.mark.parametrize("method", ["linear", "gaussian", "naive"])
def test_golden_soft(method):
    gold, boxes, scores, _ = golden_boxes()
    new_scores, keep = soft_nms(boxes, scores, 0.5, sigma=0.5, min_score=0.05, method=method)
    assert keep.tolist() == gold[f"soft_nms_{method}_keep"].tolist()
    close(new_scores, gold[f"soft_nms_{method}_dets"][:, 4])


def test_golden_multiclass():
    gold = figures("ops")
    boxes, scores = torch.from_numpy(gold["mc_boxes"]), torch.from_numpy(gold["mc_scores"])[:, :3]
    plain = {"type": "nms", "iou_threshold": 0.5}
    soft = {"type": "soft_nms", "iou_threshold": 0.5, "min_score": 0.05}
    cases = {"nms": (boxes, plain, 100), "top20": (boxes, plain, 20), "soft": (boxes, soft, 100)}
    cases["agnostic"] = (torch.from_numpy(gold["nms_boxes"]), plain, 100)
    for name, (given, config, most) in cases.items():
        found, labels = multiclass_nms(given, scores, score_threshold=0.05, nms_config=config, max_per_image=most)
        assert labels.tolist() == gold[f"mc_{name}_labels"].tolist(), name
        close(found, gold[f"mc_{name}_dets"])
    found, labels = multiclass_nms(boxes, scores, score_threshold=2.0, nms_config=plain)
    assert found.shape == (0, 5) and labels.shape == (0,)


@pytest.mark.usefixtures("operators")
def test_classes_do_not_meet_where_coordinates_are_negative():
    boxes = torch.tensor([[-100.0, -100, 10, 10], [-99, -100, 10, 10], [0, 0, 110, 110]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert batched_nms(boxes, scores, torch.tensor([0, 1, 2]), 0.5).tolist() == [0, 1, 2]
    assert batched_nms(boxes, scores, torch.tensor([1, 1, 2]), 0.5).tolist() == [0, 2]


def test_ties_and_empty_boxes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 5, 5], [5, 5, 5, 5]])
    assert nms(boxes, torch.tensor([0.5, 0.5, 0.5, 0.5]), 0.5).tolist() == [0, 2, 3]
    assert nms(boxes[:0], torch.zeros(0), 0.5).tolist() == []
    assert batched_nms(boxes[:0], torch.zeros(0), torch.zeros(0, dtype=torch.long), 0.5).tolist() == []


def test_mistakes():
    empty = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long)
    with pytest.raises(ValueError, match='"nms" or "soft_nms"'):
        suppress(*empty, {"type": "fast_nms"})
    with pytest.raises(ValueError, match="sigma, too"):
        suppress(*empty, {"type": "nms", "iou_threshold": 0.5, "sigma": 1})
    with pytest.raises(ValueError, match='"gaussian" or "naive"'):
        soft_nms(empty[0], empty[1], method="quadratic")
