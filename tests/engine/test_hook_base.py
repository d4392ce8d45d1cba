from steploop.engine import HookBase
from steploop.engine.train_loop import HookList


class Acts(HookBase):
    def after_step(self):
        pass


def test_a_method_set_on_the_instance_counts_as_overridden():
    calls = []
    hook = HookBase()
    hook.before_step = lambda: calls.append(1)
    hooks = HookList()
    hooks.bind([hook, Acts()])
    for call in hooks.before_step:
        call()
    assert calls == [1]
    assert not hooks.after_backward
    assert len(hooks.after_step) == 1


def test_hooks_of_one_class_are_numbered_and_named_ones_keep_their_name():
    named = Acts()
    named.name = "mine"
    names = [name for name, _ in HookList().named([Acts(), named, Acts(), HookBase()])]
    assert names == ["Acts", "mine", "Acts#2", "HookBase"]
