import pytest
import torch

from steploop.modeling import RepVGG


@pytest.mark.parametrize("groups", [1, 2])
def test_the_fused_network_computes_the_same(groups):
    torch.manual_seed(0)
    net = RepVGG((2, 2, 1, 1), (0.25, 0.25, 0.125, 0.125), groups=groups, last_stride=1).double()
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    images = torch.randn(2, 3, 32, 16, dtype=torch.float64)
    expected = net.eval()(images)["res5"]
    fused = net.deploy()
    assert not any("rbr_" in name for name in fused.state_dict())
    torch.testing.assert_close(fused(images)["res5"], expected)
