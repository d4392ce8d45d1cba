import pytest
import torch

from detection_golden import close, figures
from steploop.modeling.layers import roi_align as module
from steploop.modeling.layers.roi_align import RoIAlign, roi_align
from steploop.modeling.layers.torchvision_operators import VARIABLE, torchvision_operators

CASES = [(1, 0, 7, 7), (1, 0, 5, 3), (1, 1, 7, 7), (1, 2, 7, 7), (1, 2, 5, 3), (1, 3, 7, 7)]
CASES += [(0, *case[1:]) for case in CASES]


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


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize(("aligned", "ratio", "height", "width"), CASES)
def test_golden(aligned, ratio, height, width):
    gold = figures("ops")
    features = torch.from_numpy(gold["roi_x"]).requires_grad_()
    layer = RoIAlign((height, width), float(gold["roi_scale"]), ratio, bool(aligned))
    pooled = layer(features, torch.from_numpy(gold["roi_rois"]))
    name = f"roi_aligned{aligned}_sr{ratio}_{height}x{width}"
    close(pooled, gold[name])
    (pooled * torch.from_numpy(gold["roi_w"])[:, :, :height, :width]).sum().backward()
    close(features.grad, gold[f"{name}_grad"])


@pytest.mark.parametrize("ratio", [0, 2])
def test_gradient(ratio):
    features = torch.randn(2, 2, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[0, 3.0, 4, 30, 40], [1, -9, 0, 70, 20], [1, 5, 5, 5, 5]], dtype=torch.float64)
    torch.autograd.gradcheck(
        lambda x: roi_align(x, rois, (2, 3), spatial_scale=1 / 8, sampling_ratio=ratio), (features.requires_grad_(),)
    )


def test_no_boxes_keep_the_graph():
    features = torch.randn(1, 3, 4, 4, requires_grad=True)
    pooled = roi_align(features, torch.zeros(0, 5), (7, 7))
    assert pooled.shape == (0, 3, 7, 7)
    pooled.sum().backward()
    assert features.grad is not None and not features.grad.any()


def test_in_parts(monkeypatch):
    features = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[0, 0, 0, 8, 8], [0, 1, 1, 9, 9], [0, 3, 2, 11, 10], [0, 0.0, 0, 16, 4]])
    whole = roi_align(features, rois, (3, 3))
    monkeypatch.setattr(module, "MAX_CORNERS", 1)
    assert torch.equal(roi_align(features, rois, (3, 3)), whole)


def test_half_precision_is_computed_in_single():
    features = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    rois = torch.tensor([[0, 0.3, 0.7, 6.1, 7.2]])
    pooled = roi_align(features, rois, (2, 2))
    assert pooled.dtype == torch.bfloat16
    assert torch.equal(pooled, roi_align(features.float(), rois, (2, 2)).bfloat16())


def test_choice_of_operators(monkeypatch):
    torchvision_operators.cache_clear()
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(ValueError, match='"torch" or "torchvision"'):
        torchvision_operators()
    torchvision_operators.cache_clear()
