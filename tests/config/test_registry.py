import functools

import pytest

from steploop.config import CfgNode, Registry, UnknownKeyError, configurable


@pytest.fixture
def registry() -> Registry:
    registry = Registry("BACKBONE")

    @registry.register()
    class ResNet:
        def __init__(self, depth, *, width=64):
            self.depth, self.width = depth, width

    @registry.register(name="plain")
    def build_plain(**kwargs):
        return kwargs

    return registry


def test_register_and_get(registry):
    def OSNet():
        return "made"

    assert registry.register(OSNet) is OSNet
    assert registry.get("OSNet") is OSNet and registry.get("plain").__name__ == "build_plain"
    assert "OSNet" in registry and "build_plain" not in registry
    assert len(registry) == 3 and [name for name, _ in registry] == ["ResNet", "plain", "OSNet"]
    assert "ResNet" in repr(registry)


def test_unknown_name(registry):
    with pytest.raises(UnknownKeyError) as caught:
        registry.get("resnet")
    assert str(caught.value).startswith(
        "the registry BACKBONE: unknown name 'resnet'; did you mean 'ResNet'? Known: ResNet, plain."
    )
    with pytest.raises(KeyError, match="Known: nothing yet"):
        Registry("EMPTY").get("x")


def test_a_name_is_taken_once(registry):
    registry.register(registry.get("ResNet"))
    with pytest.raises(ValueError, match="the registry BACKBONE already holds 'ResNet'.*another name"):
        registry.register(lambda: None, name="ResNet")


def test_build(registry):
    config = {"type": "ResNet", "depth": 18}
    model = registry.build(config, depth=50, width=32)
    assert (model.depth, model.width) == (18, 32) and config == {"type": "ResNet", "depth": 18}
    assert registry.build(CfgNode({"type": "plain", "a": 1})) == {"a": 1}
    assert registry.build({"type": "plain", "config": 1, "nested": {"type": "x"}}) == {
        "config": 1,
        "nested": {"type": "x"},
    }
    assert registry.build({"type": "plain"}, config=2) == {"config": 2}


def test_the_type_may_be_a_class(registry):
    class Other:
        def __init__(self, depth):
            self.depth = depth

    made = registry.build({"type": Other}, depth=3)
    assert isinstance(made, Other) and made.depth == 3 and "Other" not in registry
    with pytest.raises(TypeError, match=r"BACKBONE cannot build Other\(depth\): missing.*'depth'"):
        registry.build({"type": Other})


@pytest.mark.parametrize("config", [None, "ResNet", [], {}, {"depth": 1}, {"type": 3}, {"type": None}])
def test_build_needs_a_type(registry, config):
    with pytest.raises(TypeError, match='BACKBONE: expected a mapping with a "type", such as .*; came'):
        registry.build(config)


def test_build_with_wrong_arguments(registry):
    with pytest.raises(UnknownKeyError, match="the registry BACKBONE: unknown name 'ResNt'"):
        registry.build({"type": "ResNt"})
    with pytest.raises(
        TypeError, match=r"registry BACKBONE cannot build ResNet\(depth.*missing.*'depth'.*came as width=1"
    ):
        registry.build({"type": "ResNet", "width": 1})
    with pytest.raises(TypeError, match=r"unexpected.*'dpth' \(did you mean 'depth'\?\); .*came as depth=1, dpth=1"):
        registry.build({"type": "ResNet", "depth": 1, "dpth": 1})
    with pytest.raises(TypeError, match=r"unexpected.*'colour'; the arguments came as depth=1, colour=1"):
        registry.build({"type": "ResNet", "depth": 1, "colour": 1})


def test_an_error_inside_the_constructor_is_its_own(registry):
    @registry.register()
    def broken():
        raise TypeError("from inside")

    with pytest.raises(TypeError, match="^from inside$"):
        registry.build({"type": "broken"})


def test_build_with_a_config(registry):
    @registry.register()
    class Head:
        @configurable
        def __init__(self, dim):
            self.dim = dim

        @classmethod
        def from_config(cls, cfg):
            return {"dim": cfg.DIM}

    assert registry.build({"type": "Head"}, cfg=CfgNode({"DIM": 3})).dim == 3
    assert registry.build({"type": "Head", "dim": 4}).dim == 4


def test_build_of_what_has_no_signature(registry):
    registry.register(dict)
    registry.register(functools.partial(int, base=2), name="binary")
    assert registry.build({"type": "dict", "a": 1}) == {"a": 1}
