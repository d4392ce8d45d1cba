import numpy as np
import pytest
import torch

from steploop.projects.reid.evaluation import redrawn_retrieval, single_shot_retrieval
from steploop.projects.reid.evaluation.draws import draw_gallery

FEATURES = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
PIDS = np.arange(30) % 6


def test_a_single_shot_gallery_has_one_image_of_each_identity():
    # Identity 0 by another camera is at distance 1 or 3; identity 1 at 2 or 4.
    distances = torch.tensor([[1.0, 3.0, 2.0, 4.0, 0.0]])
    result = single_shot_retrieval([distances], [0], [0, 0, 1, 1, 0], [0], [1, 1, 0, 0, 0], num_draws=400)
    # Rank 2 only if 3 meets 2: a quarter of the draws.
    assert result.cmc[0] == pytest.approx(0.75, abs=0.07)
    assert result.cmc[1] == 1
    assert result.mean_ap == pytest.approx(1 - result.valid.sum() * (1 - result.cmc[0]) / 2)


def test_single_shot_draws_are_the_same_again():
    distances = torch.rand(5, 25, generator=torch.Generator().manual_seed(1))
    labels = PIDS[:5], PIDS[5:], np.zeros(5, int), np.ones(25, int)
    first, again = (single_shot_retrieval(blocks, *labels) for blocks in ([distances], distances.split(2)))
    np.testing.assert_array_equal(first.ap, again.ap)


def test_a_drawn_gallery_has_one_image_of_each_identity():
    first, second = (draw_gallery(PIDS, draw) for draw in (0, 1))
    assert sorted(PIDS[first]) == sorted(PIDS[second]) == list(range(6))
    assert (first != second).any()
    np.testing.assert_array_equal(first, draw_gallery(PIDS, 0))


def test_every_other_image_is_a_query():
    results = redrawn_retrieval(FEATURES, PIDS, num_draws=3)
    assert [len(result.ap) for result in results] == [24, 24, 24]
    assert all(result.valid.all() for result in results)
    assert len({result.mean_ap for result in results}) == 3


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="a single image"):
        redrawn_retrieval(FEATURES, np.arange(30))
    with pytest.raises(ValueError, match="none of the 1 queries"):
        single_shot_retrieval([torch.zeros(1, 1)], [0], [1], [0], [1])
    with pytest.raises(ValueError, match="at least 1 draw"):
        redrawn_retrieval(FEATURES, PIDS, num_draws=0)
