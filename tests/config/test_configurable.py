import inspect

import pytest
from yacs.config import CfgNode as YacsCfgNode

from steploop.config import CfgNode, configurable


class Head:
    @configurable
    def __init__(self, dim, *, scale=1.0, name="head"):
        """The head's own docstring."""
        self.arguments = (dim, scale, name)

    @classmethod
    def from_config(cls, cfg, dim=8):
        return {"dim": dim, "scale": cfg.SCALE}


class Wider(Head):
    @classmethod
    def from_config(cls, cfg, dim=8):
        return {**super().from_config(cfg, dim), "dim": 2 * dim}


@pytest.fixture
def cfg() -> CfgNode:
    return CfgNode({"SCALE": 2.0})


def test_with_arguments():
    assert Head(3).arguments == (3, 1.0, "head")
    assert Head(dim=3, scale=5.0).arguments == (3, 5.0, "head")


def test_with_a_config(cfg):
    assert Head(cfg).arguments == (8, 2.0, "head")
    assert Head(cfg=cfg).arguments == (8, 2.0, "head")
    assert Head(cfg, 3).arguments == (3, 2.0, "head")
    assert Head(cfg, dim=3).arguments == (3, 2.0, "head")
    assert Head(YacsCfgNode({"SCALE": 4.0})).arguments == (8, 4.0, "head")


def test_keywords_that_from_config_does_not_take_go_past_it_and_win(cfg):
    assert Head(cfg, name="x", scale=9.0).arguments == (8, 9.0, "x")


def test_a_subclass_brings_its_own_from_config(cfg):
    assert Wider(cfg, 4).arguments == (8, 2.0, "head")


def test_a_subclass_with_its_own_init_calls_with_arguments(cfg):
    class Mine(Head):
        def __init__(self, dim):
            super().__init__(dim, scale=7.0)

    assert Mine(3).arguments == (3, 7.0, "head")


def test_from_config_with_kwargs_gets_them_all(cfg):
    class All:
        @configurable
        def __init__(self, a):
            self.a = a

        @classmethod
        def from_config(cls, cfg, **kwargs):
            return {"a": kwargs}

    assert All(cfg, x=1, y=2).a == {"x": 1, "y": 2}


def test_function(cfg):
    @configurable(from_config=lambda cfg, extra=0: {"a": cfg.SCALE, "b": extra})
    def build(a, b=3, c=4):
        """Build it."""
        return a, b, c

    assert build(1) == (1, 3, 4)
    assert build(cfg) == (2.0, 0, 4)
    assert build(cfg=cfg, extra=5, c=6) == (2.0, 5, 6)
    assert build.__doc__ == "Build it." and list(inspect.signature(build).parameters) == ["a", "b", "c"]
    assert build.from_config(cfg) == {"a": 2.0, "b": 0}


def test_empty_parentheses(cfg):
    class Other:
        @configurable()
        def __init__(self, a):
            self.a = a

        @classmethod
        def from_config(cls, cfg):
            return {"a": cfg.SCALE}

    assert Other(cfg).a == 2.0


def test_wraps():
    assert Head.__init__.__doc__ == "The head's own docstring."


def test_without_from_config(cfg):
    class Bare:
        @configurable
        def __init__(self, a=1):
            self.a = a

    assert Bare().a == 1
    with pytest.raises(AttributeError, match="Bare has a @configurable __init__.*from_config"):
        Bare(cfg)


def test_from_config_must_be_a_classmethod_that_takes_cfg_and_returns_a_dict(cfg):
    def make(method):
        class Bad:
            __init__ = configurable(Head.__dict__["__init__"].__wrapped__)
            from_config = method

        return Bad

    with pytest.raises(TypeError, match="must be a classmethod"):
        make(lambda self, cfg: {})(cfg)
    with pytest.raises(TypeError, match=r"must take the config first, as cfg; its parameters are \['config'\]"):
        make(classmethod(lambda cls, config: {}))(cfg)
    with pytest.raises(TypeError, match="must return a dict of arguments; it returned int"):
        make(classmethod(lambda cls, cfg: 3))(cfg)


@pytest.mark.parametrize("wrong", [lambda a: a, Head, 3])
def test_decorates_nothing_else(wrong):
    with pytest.raises(TypeError, match="decorates the __init__"):
        configurable(wrong)


def test_from_config_is_for_functions():
    with pytest.raises(TypeError, match="decorates a function"):
        configurable(from_config=lambda cfg: {})(Head)
