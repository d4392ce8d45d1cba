import numpy as np
import pytest
import torch

from shared_files import shared
from steploop.projects.reid.evaluation import QueryExpansion, expand_features


@pytest.mark.parametrize("name", ["golden/ranking.npz", "golden/reid_extra/ranking.npz"])
@pytest.mark.parametrize("memory_mib", [1, 512])
def test_reference_figures(name, memory_mib):
    values = np.load(shared(name))
    features = [torch.from_numpy(np.abs(values[key])) for key in ("q", "g")]
    expanded = expand_features(*features, QueryExpansion(times=1, k=5, alpha=3.0), memory_mib=memory_mib)
    for ours, key in zip(expanded, ("aqe_q", "aqe_g")):
        assert np.abs(ours.numpy() - values[key]).max() <= 1e-4 * np.abs(values[key]).max()


def test_means_of_the_nearest():
    query, gallery = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    expanded, others = expand_features(query, gallery, QueryExpansion(k=2, alpha=1.0))
    assert expanded.tolist() == [[1.5, 0.0]]  # of itself and of (2, 0)
    assert others[1].tolist() == [0.0, 1.5]  # no other has a positive similarity
    again, _ = expand_features(query, gallery, QueryExpansion(times=2, k=2, alpha=1.0))
    assert again.tolist() == [[1.5, 0.0]]


def test_more_neighbours_than_images():
    expanded, _ = expand_features(torch.ones(1, 2), torch.ones(1, 2), QueryExpansion(k=5))
    assert expanded[0].tolist() == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize("wrong", [QueryExpansion(times=0), QueryExpansion(k=0), QueryExpansion(alpha=-1.0)])
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match="expected TEST.AQE"):
        expand_features(torch.ones(1, 2), torch.ones(1, 2), wrong)


def test_features_that_are_not_finite():
    with pytest.raises(ValueError, match="row 0 of the query features"):
        expand_features(torch.full((1, 2), torch.nan), torch.ones(1, 2), QueryExpansion())
