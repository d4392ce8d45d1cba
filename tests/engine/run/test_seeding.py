import os
import random

import numpy as np
import pytest
import torch

from steploop.engine.run.seeding import enable_determinism, seed_all_rng, seed_step, step_seed


@pytest.fixture(autouse=True)
def generators():
    """Leave the global generators as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def draw() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_one_seed_for_all_generators():
    assert seed_all_rng(7) == 7
    first = draw()
    seed_all_rng(8)
    assert all(a != b for a, b in zip(first, draw()))
    seed_all_rng(7)
    assert draw() == first
    seed_all_rng(2**40)  # more than NumPy takes


def test_an_open_seed_is_drawn_and_returned():
    seed = seed_all_rng()
    drawn = draw()
    assert seed_all_rng() != seed
    seed_all_rng(seed)
    assert draw() == drawn
    with pytest.raises(ValueError, match="got -1"):
        seed_all_rng(-1)


def test_step_seeds_are_fixed_for_ever():
    assert step_seed(0, 0, 0) == 0x33FE8BD4F9C57863
    assert step_seed(42, 3, 1_000_000) == 0xB3680E0014E0AC08


def test_step_seeds_differ_and_are_64_bits():
    seeds = [step_seed(s, r, i) for s in (0, 1, 2**31) for r in range(4) for i in range(2_000)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**64 for seed in seeds)
    ones = sum(bin(seed).count("1") for seed in seeds) / len(seeds)
    assert 31.5 < ones < 32.5
    assert len({seed & 0xFFFFFFFF for seed in seeds}) > len(seeds) - 5  # PyTorch's CPU generator takes 32 bits


def test_a_step_draws_the_same_whatever_came_before():
    seed_step(1, 0, 5, torch.device("cpu"))
    first = torch.rand(3)
    torch.rand(7)
    seed_step(1, 0, 5)
    assert torch.equal(torch.rand(3), first)
    seed_step(1, 1, 5)
    assert not torch.equal(torch.rand(3), first)


def test_a_step_leaves_the_generators_of_python_and_numpy_alone():
    seed_all_rng(3)
    expected = draw()[:2]
    seed_all_rng(3)
    seed_step(1, 0, 0)
    assert draw()[:2] == expected


def test_determinism(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    try:
        torch.backends.cudnn.benchmark = True
        enable_determinism()
        assert torch.are_deterministic_algorithms_enabled()
        assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == (False, True)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
