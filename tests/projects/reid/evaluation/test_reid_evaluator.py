import logging

import pytest
import torch

from steploop.engine import comm
from steploop.projects.reid.data.items import ReidItem
from steploop.projects.reid.evaluation import RankingOptions, ReidEvaluator, rank_distances

QUERY = [ReidItem("q0", 1, 0), ReidItem("q1", 2, 0), ReidItem("q2", 9, 0)]
GALLERY = [ReidItem(f"g{i}", pid, camid) for i, (pid, camid) in enumerate([(1, 1), (2, 1), (1, 0), (0, 2), (2, 2)])]
ITEMS = QUERY + GALLERY
FEATURES = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


def batch(indices):
    return {
        "indices": torch.tensor(indices),
        "targets": torch.tensor([ITEMS[i].pid for i in indices]),
        "camids": torch.tensor([ITEMS[i].camid for i in indices]),
        "img_paths": [ITEMS[i].img_path for i in indices],
    }


def feed(evaluator, *batches):
    evaluator.reset()
    for indices in batches:
        evaluator.process(batch(indices), FEATURES[indices])
    return evaluator


def expected(metric):
    query, gallery = FEATURES[:3], FEATURES[3:]
    if metric == "euclidean":
        distances = torch.cdist(query, gallery).square()
    else:
        distances = 1 - torch.cosine_similarity(query[:, None], gallery[None], dim=-1)
    labels = [[getattr(item, name) for item in items] for name in ("pid", "camid") for items in (QUERY, GALLERY)]
    return rank_distances(distances, *labels)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("batches", [([0, 1, 2, 3], [4, 5, 6, 7]), ([7, 2], [5, 0, 1], [3, 6, 4])])
def test_figures_in_percent(metric, batches):
    results = feed(ReidEvaluator(3, RankingOptions(metric=metric)), *batches).evaluate()
    figures = expected(metric)
    assert list(results) == ["Rank-1", "Rank-5", "Rank-10", "mAP", "mINP", "metric"]
    assert results["Rank-1"] == 100 * figures.rank(1)
    assert results["Rank-10"] == 100  # of five gallery images
    assert results["mAP"] == pytest.approx(100 * figures.mean_ap)
    assert results["mINP"] == pytest.approx(100 * figures.mean_inp)
    assert results["metric"] == (results["Rank-1"] + results["mAP"]) / 2
    assert all(type(value) is float for value in results.values())


def test_queries_without_a_match_are_reported(caplog):
    evaluator = feed(ReidEvaluator(3), range(8))
    with caplog.at_level(logging.INFO, "steploop.projects.reid"):
        evaluator.evaluate()
    assert "1 of 3 queries were left out" in caplog.text


def test_what_was_ranked_is_kept():
    evaluator = feed(ReidEvaluator(3), [7, 2], [5, 0, 1], [3, 6, 4])
    evaluator.evaluate()
    retrieval = evaluator.retrieval
    assert (retrieval.query, retrieval.gallery) == (QUERY, GALLERY)
    assert torch.equal(retrieval.query_features, FEATURES[:3])
    assert torch.equal(retrieval.gallery_features, FEATURES[3:])
    evaluator.reset()
    assert evaluator.retrieval is None


def test_reset_forgets():
    evaluator = ReidEvaluator(3)
    first = feed(evaluator, range(8)).evaluate()
    assert feed(evaluator, range(8)).evaluate() == first


def test_features_become_float32():
    evaluator = ReidEvaluator(3)
    evaluator.reset()
    evaluator.process(batch(range(8)), FEATURES.bfloat16().requires_grad_())
    evaluator.evaluate()
    assert evaluator.retrieval.query_features.dtype == torch.float32
    assert not evaluator.retrieval.query_features.requires_grad


def gathered(shares, rank, monkeypatch):
    """Evaluate as `rank` among processes that saw `shares` of the set."""
    evaluators = [feed(ReidEvaluator(3), *share) for share in shares]
    sent = []
    for evaluator in evaluators:
        sent.append([])
        with monkeypatch.context() as patch:
            patch.setattr(comm, "gather_tensor", lambda part: sent[-1].append(part) or [])
            patch.setattr(comm, "is_main_process", lambda: False)
            assert evaluator.evaluate() == {}
            assert evaluator.retrieval is None
    with monkeypatch.context() as patch:
        columns = zip(*sent)
        patch.setattr(comm, "gather_tensor", lambda part: list(next(columns)))
        return evaluators[rank].evaluate()


@pytest.mark.parametrize("shares", [([[0, 1, 2], [6, 7]], [[3, 4, 5]]), ([[0, 1, 2, 3]], [[4, 5, 6, 7]], [])])
def test_processes_together(shares, monkeypatch):
    assert gathered(shares, 0, monkeypatch) == feed(ReidEvaluator(3), range(8)).evaluate()


@pytest.mark.parametrize("shares", [([[0, 1, 2, 3]], [[3, 4, 5]]), ([[0, 1, 2, 3]], [[5, 6, 7]]), ([[0], [0, 1]],)])
def test_samples_that_miss_or_repeat(shares, monkeypatch):
    with pytest.raises(ValueError, match="expected each sample once"):
        gathered(shares, 0, monkeypatch)


def test_features_are_held_once():
    evaluator = feed(ReidEvaluator(3), [0, 1, 2, 3], [4, 5, 6, 7])
    first = evaluator.evaluate()
    assert evaluator.retrieval.query_features.untyped_storage().nbytes() == FEATURES.nbytes
    assert [len(part) for part in evaluator._features] == [8]
    assert evaluator.retrieval.gallery_features.data_ptr() == evaluator._features[0][3:].data_ptr()
    assert evaluator.evaluate() == first


def test_memory_too_small_for_the_gallery_names_the_key():
    evaluator = ReidEvaluator(1, RankingOptions(memory_mib=1))
    evaluator.reset()
    count = 3000
    targets, camids = torch.ones(count, dtype=torch.int64), torch.arange(count)
    inputs = {"indices": camids, "targets": targets, "camids": camids, "img_paths": ["a"] * count}
    evaluator.process(inputs, torch.ones(count, 100))
    with pytest.raises(ValueError, match=r"1 MiB do not hold .*: set TEST\.MEMORY_MIB"):
        evaluator.evaluate()


def test_nothing_processed():
    with pytest.raises(ValueError, match="nothing was processed"):
        ReidEvaluator(3).evaluate()


def test_no_gallery():
    with pytest.raises(ValueError, match="all 3 samples are queries.*the gallery is empty"):
        feed(ReidEvaluator(3), range(3)).evaluate()


def test_batches_that_do_not_fit():
    evaluator = ReidEvaluator(3)
    evaluator.reset()
    incomplete = batch([0, 1])
    del incomplete["indices"]
    with pytest.raises(KeyError, match="lacks indices; it holds targets, camids, img_paths"):
        evaluator.process(incomplete, FEATURES[:2])
    with pytest.raises(ValueError, match=r"expected features \(2, D\)"):
        evaluator.process(batch([0, 1]), FEATURES[:3])


def test_no_query():
    with pytest.raises(ValueError, match="at least one query"):
        ReidEvaluator(0)
