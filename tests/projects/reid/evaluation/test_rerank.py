import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shared_files import shared
from steploop.projects.reid.evaluation import Reranked, Reranking, pairwise_distance, rerank_distances

FEATURES = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))


def check(ours, reference):
    assert np.abs(ours - reference).max() <= 1e-4 * np.abs(reference).max()


def reranked(query, gallery, metric="cosine", reranking=Reranking(), **options):  # noqa: B008
    return Reranked(query, gallery, metric, reranking, **options)


def all_blocks(distances):
    return torch.cat([block.clone() for block in distances.blocks()]).numpy()


@pytest.mark.parametrize("name", ["golden/ranking.npz", "golden/reid_extra/ranking.npz"])
def test_reference_figures_of_given_distances(name):
    values = np.load(shared(name))
    q, g = torch.from_numpy(values["q"]), torch.from_numpy(values["g"])
    distances = [pairwise_distance(*pair, "euclidean") for pair in ((q, g), (q, q), (g, g))]
    check(rerank_distances(*distances, Reranking(20, 6, 0.3)), values["rerank"])


def test_reference_figures_of_features():
    values = np.load(shared("golden/reid_extra/ranking.npz"))
    distances = reranked(torch.from_numpy(values["q"]), torch.from_numpy(values["g"]))
    check(np.stack([distances.jaccard(query) for query in range(len(values["q"]))]), values["jaccard_k20_k6"])
    check(all_blocks(distances), values["rerank_evaluator_cosine"])


def naive_jaccard(distances, k1, k2):
    """As the definition reads: sets of numbers and dense rows of weights."""
    order = np.argsort(distances, axis=1, kind="stable")
    num = len(distances)

    def reciprocal(i, k):
        return {j for j in order[i, :k] if i in order[j, :k]}

    weights = np.zeros((num, num))
    for i in range(num):
        own = reciprocal(i, k1)
        grown = set(own)
        for j in own:
            half = reciprocal(j, round(k1 / 2) + 1)
            if len(half & own) > 2 / 3 * len(half):
                grown |= half
        members = sorted(grown)
        weights[i, members] = np.exp(-distances[i, members]) / np.exp(-distances[i, members]).sum()
    weights = np.stack([weights[order[i, :k2]].mean(axis=0) for i in range(num)])
    shared_weight = np.minimum(weights[:, None], weights[None]).sum(axis=2)
    return 1 - shared_weight / (2 - shared_weight)


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (7, 1), (5, 3), (1, 1)])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_agrees_with_the_definition(k1, k2, metric):
    features = F.normalize(FEATURES) if metric == "cosine" else FEATURES
    expected = naive_jaccard(pairwise_distance(features, features, "euclidean").double().numpy(), k1, k2)[:20, 20:]
    distances = reranked(FEATURES[:20], FEATURES[20:], metric, Reranking(k1, k2, 0.25))
    original = pairwise_distance(FEATURES[:20], FEATURES[20:], metric).numpy()
    np.testing.assert_allclose(all_blocks(distances), 0.75 * expected + 0.25 * original, atol=2e-6)
    np.testing.assert_allclose(distances.of_query(3), 0.75 * expected[3] + 0.25 * original[3], atol=2e-6)


def test_memory_does_not_change_the_figures():
    features = torch.randn(3000, 8, generator=torch.Generator().manual_seed(1))
    small, large = (reranked(features[:40], features[40:], memory_mib=mebibytes) for mebibytes in (1, 512))
    np.testing.assert_array_equal(all_blocks(small), all_blocks(large))


def test_fewer_images_than_neighbours():
    distances = all_blocks(reranked(FEATURES[:2], FEATURES[2:5]))
    assert distances.shape == (2, 3) and np.isfinite(distances).all()


@pytest.mark.filterwarnings("error")
def test_equal_features():
    distances = all_blocks(reranked(torch.ones(2, 3), torch.ones(30, 3)))
    assert np.isfinite(distances).all()


@pytest.mark.parametrize("wrong", [Reranking(k1=5, k2=6), Reranking(k2=0), Reranking(weight=1.5)])
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match="K2 <= K1 and LAMBDA in 0..1"):
        reranked(FEATURES[:2], FEATURES[2:], reranking=wrong)


def test_distances_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(Q, G\), \(Q, Q\) and \(G, G\), got \(2, 3\), \(3, 3\)"):
        rerank_distances(np.ones((2, 3)), np.ones((3, 3)), np.ones((3, 3)), Reranking())
    with pytest.raises(ValueError, match="NaN"):
        rerank_distances(np.full((1, 1), np.nan), np.ones((1, 1)), np.ones((1, 1)), Reranking())
