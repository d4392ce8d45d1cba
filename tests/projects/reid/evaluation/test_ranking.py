import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_files import shared
from steploop.projects.reid.evaluation import Ranking, evaluate_retrieval, pairwise_distance, rank_distances
from steploop.projects.reid.evaluation.distances import rows_within


def naive(distances, q_pids, g_pids, q_camids, g_camids, max_rank):
    """The protocol as its definition reads, one query at a time."""
    hits, aps, inps = [], {}, {}
    for q, row in enumerate(distances):
        kept = [g for g in range(len(row)) if not (g_pids[g] == q_pids[q] and g_camids[g] == q_camids[q])]
        kept.sort(key=lambda g: (row[g], g_pids[g] == q_pids[q]))  # at equal distance, negatives first
        ranks = [place for place, g in enumerate(kept, 1) if g_pids[g] == q_pids[q]]
        if not ranks:
            continue
        hits.append([ranks[0] <= k for k in range(1, max_rank + 1)])
        aps[q] = sum(found / rank for found, rank in enumerate(ranks, 1)) / len(ranks)
        inps[q] = len(ranks) / ranks[-1]
    return np.mean(hits, axis=0) if hits else None, aps, inps


def check(result, expected):
    cmc, aps, inps = expected
    np.testing.assert_allclose(result.cmc, cmc, rtol=1e-12)
    assert np.flatnonzero(result.valid).tolist() == list(aps)
    assert np.isnan(result.ap[~result.valid]).all()
    assert np.isnan(result.inp[~result.valid]).all()
    np.testing.assert_allclose(result.ap[result.valid], list(aps.values()), rtol=1e-12)
    np.testing.assert_allclose(result.inp[result.valid], list(inps.values()), rtol=1e-12)
    assert result.num_skipped == len(result.valid) - len(aps)


@st.composite
def problems(draw):
    """Few identities, cameras and distances, so that ties, same-camera items and queries without a match are common."""
    num_query, num_gallery = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    level = st.sampled_from([0.0, 0.25, 0.5, 1.0, float("inf")])

    def labels(n, top):
        return draw(st.lists(st.integers(0, top), min_size=n, max_size=n))

    rows = [draw(st.lists(level, min_size=num_gallery, max_size=num_gallery)) for _ in range(num_query)]
    pids = labels(num_query, 3), labels(num_gallery, 3)
    return np.array(rows, dtype=np.float32), *pids, labels(num_query, 2), labels(num_gallery, 2)


@given(problems(), st.integers(1, 15))
@settings(max_examples=400, deadline=None)
def test_agrees_with_the_definition(problem, max_rank):
    expected = naive(*problem, max_rank)
    if expected[0] is None:
        with pytest.raises(ValueError, match="none of the"):
            rank_distances(*problem, max_rank=max_rank)
    else:
        check(rank_distances(*problem, max_rank=max_rank), expected)


def many_positives(seed=0, num_query=4, num_gallery=600, levels=100):
    """Identities with more images than rows are compared with one by one."""
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, levels, (num_query, num_gallery)).astype(np.float32)
    pids = [rng.integers(0, 3, n) for n in (num_query, num_gallery)]
    camids = [rng.integers(0, 4, n) for n in (num_query, num_gallery)]
    return distances, *pids, *camids


@pytest.mark.parametrize("levels", [1, 100])
def test_identities_with_many_images(levels):
    problem = many_positives(levels=levels)
    check(rank_distances(*problem), naive(*problem, 50))


CONVERSIONS = [
    torch.from_numpy,
    lambda d: torch.from_numpy(d).half(),
    lambda d: torch.from_numpy(d).bfloat16(),
    lambda d: d.astype(int),
    lambda d: d.tolist(),
    np.asfortranarray,
]


@pytest.mark.parametrize("convert", CONVERSIONS)
def test_any_matrix(convert):
    distances, *labels = many_positives()
    check(rank_distances(convert(distances), *labels), naive(distances, *labels, 50))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_reference_figures(metric):
    data = np.load(shared("golden/ranking.npz"))
    labels = [data[name] for name in ("q_pids", "g_pids", "q_camids", "g_camids")]
    from_matrix = rank_distances(data[f"dist_{metric}"], *labels)
    from_features = evaluate_retrieval(torch.from_numpy(data["q"]), torch.from_numpy(data["g"]), *labels, metric=metric)
    for result in (from_matrix, from_features):
        np.testing.assert_allclose(result.cmc, data[f"cmc_{metric}"], rtol=1e-7)
        np.testing.assert_allclose(result.ap[result.valid], data[f"ap_{metric}"], rtol=1e-7)
        np.testing.assert_allclose(result.inp[result.valid], data[f"inp_{metric}"], rtol=1e-7)
        assert np.flatnonzero(~result.valid).tolist() == [3]


def features(num_query=40, num_gallery=500, seed=0):
    rng = np.random.default_rng(seed)
    pids = [rng.integers(0, 20, n) for n in (num_query, num_gallery)]
    camids = [rng.integers(0, 4, n) for n in (num_query, num_gallery)]
    centres = rng.normal(size=(20, 16))
    vectors = [torch.from_numpy(centres[p] + 1.5 * rng.normal(size=(len(p), 16))).float() for p in pids]
    return *vectors, *pids, *camids


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_from_features(metric):
    problem = features()
    result = evaluate_retrieval(*problem, metric=metric)
    check(result, naive(pairwise_distance(*problem[:2], metric).numpy(), *problem[2:], 50))
    assert 0.1 < result.mean_ap < 0.9


def same(one, other):
    names = ("cmc", "ap", "inp", "valid")
    return all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=n != "valid") for n in names)


def test_memory_changes_nothing():
    query, gallery, *labels = features(num_query=3000)
    assert rows_within(1, 500, 16) < 3000 < rows_within(100, 500, 16)
    small, large = (evaluate_retrieval(query, gallery, *labels, memory_mib=mib) for mib in (1, 100))
    assert same(small, large)


@given(problems(), st.lists(st.integers(0, 5), max_size=4), st.booleans())
@settings(deadline=None)
def test_rows_in_any_pieces(problem, cuts, as_tensors):
    distances, *labels = problem
    ranking = Ranking(*labels)
    for piece in np.split(distances, sorted(cuts)):
        ranking.add(torch.from_numpy(piece) if as_tensors else piece)
    expected = naive(*problem, 50)
    if expected[0] is None:
        with pytest.raises(ValueError, match="none of the"):
            ranking.result()
    else:
        check(ranking.result(), expected)


@pytest.mark.parametrize("pairs", [1, 500, 2**18])
def test_few_pairs_at_a_time(pairs, monkeypatch):
    monkeypatch.setattr("steploop.projects.reid.evaluation.ranking._PAIRS", pairs)
    problem = many_positives(num_query=30)
    check(rank_distances(*problem), naive(*problem, 50))


def test_rows_that_miss_or_do_not_fit():
    ranking = Ranking([1, 2], [1, 2, 2], [0, 0], [1, 1, 1])
    ranking.add(np.ones((1, 3)))
    with pytest.raises(ValueError, match="distances of 1 queries out of 2"):
        ranking.result()
    for shape in [(2, 3), (1, 2), (3,)]:
        with pytest.raises(ValueError, match="at most 1 queries to 3 gallery items"):
            ranking.add(np.ones(shape))
    ranking.add(np.ones((1, 3)))
    assert ranking.result().ap.tolist() == [1 / 3, (1 / 2 + 2 / 3) / 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_features_of_any_precision(dtype):
    query, gallery, *labels = features()
    query, gallery = query.to(dtype), gallery.to(dtype)
    result = evaluate_retrieval(query, gallery, *labels)
    assert same(result, evaluate_retrieval(query.double(), gallery.double(), *labels))
    assert query.dtype == gallery.dtype == dtype


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("positive_at", [0, -1])
def test_a_collapsed_embedding_gets_no_credit(metric, positive_at):
    one = torch.randn(1, 33, generator=torch.Generator().manual_seed(0))
    pids = np.full(60, 2)
    pids[positive_at] = 1
    result = evaluate_retrieval(one, one.expand(60, -1), [1], pids, [0], np.ones(60), metric=metric)
    assert result.cmc[:50].tolist() == [0.0] * 50
    assert result.mean_ap == result.mean_inp == 1 / 60


def test_a_gallery_smaller_than_max_rank():
    result = rank_distances([[0.1, 0.2, 0.3]], [1], [1, 2, 1], [0], [0, 0, 1])  # the first is of the query's camera
    assert result.cmc.tolist() == [0.0] + [1.0] * 49
    assert result.rank(10) == 1.0
    assert result.mean_ap == result.mean_inp == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.1]], [1], [1], [0], [0]), "none of the 1 queries"),
        (([[0.1]], [1], [2], [0], [1]), "none of the 1 queries"),
        (([[float("nan")]], [1], [1], [0], [1]), "NaN"),
        (([[0.1, 0.2]], [1], [1], [0], [1]), r"shape \(1, 1\).*got \(1, 2\)"),
        (([[0.1]], [1], [1], [0, 1], [1]), r"each query item, got shapes \(1,\) and \(2,\)"),
        ((np.zeros((0, 1)), [], [1], [], [1]), "query set is empty"),
        ((np.zeros((1, 0)), [1], [], [1], []), "gallery set is empty"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        rank_distances(*arguments)


def test_wrong_options():
    query, gallery, *labels = features()
    with pytest.raises(ValueError, match="max_rank must be at least 1"):
        evaluate_retrieval(query, gallery, *labels, max_rank=0)
    with pytest.raises(ValueError, match=r"0 MiB do not hold .* 500 images of 16 .*TEST\.MEMORY_MIB .* to 1 at least"):
        evaluate_retrieval(query, gallery, *labels, memory_mib=0)
    with pytest.raises(ValueError, match="features of 40 queries and 500 gallery items"):
        evaluate_retrieval(gallery, query, *labels)
    with pytest.raises(ValueError, match="not finite"):
        evaluate_retrieval(query / 0, gallery, *labels)
