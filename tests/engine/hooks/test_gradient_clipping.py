import pytest
import torch

from steploop.engine import hooks
from tiny import tiny_trainer


def gradients(hook):
    trainer = tiny_trainer(lr=0.0)
    seen = []
    look = hooks.CallbackHook(after_backward=lambda t: seen.append([p.grad.clone() for p in t.model.parameters()]))
    trainer.register_hooks([look, hook, look])
    trainer.train(0, 1)
    return *seen, trainer.storage.latest()["grad_norm"][0]


def norm(tensors):
    return torch.cat([t.flatten() for t in tensors]).norm().item()


def test_the_norm_of_all_gradients_together_is_bounded_and_recorded():
    before, after, recorded = gradients(hooks.GradientClipping(0.1))
    assert recorded == pytest.approx(norm(before))
    assert norm(before) > 0.2
    assert norm(after) == pytest.approx(0.1, rel=1e-4)


def test_each_element_is_bounded_by_value():
    before, after, recorded = gradients(hooks.GradientClipping(0.05, "value"))
    assert recorded == pytest.approx(norm(before))
    assert all(torch.equal(a, b.clamp(-0.05, 0.05)) for a, b in zip(after, before))


@pytest.mark.parametrize("args", [(1.0, "sum"), (0.0,), (float("nan"),)])
def test_settings_that_make_no_sense(args):
    with pytest.raises(ValueError):
        hooks.GradientClipping(*args)
