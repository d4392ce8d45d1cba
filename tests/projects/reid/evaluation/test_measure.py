import pytest
import torch

from steploop.projects.reid.data.items import ReidItem
from steploop.projects.reid.evaluation import QueryExpansion, RankingOptions, Reranking, measure

ITEMS = [ReidItem(f"{n}.png", n % 4, n % 3) for n in range(24)]
FEATURES = torch.eye(4)[[item.pid for item in ITEMS]] + torch.randn(24, 4, generator=torch.Generator().manual_seed(0))


def figures(**options):
    return measure(ITEMS[:8], ITEMS[8:], FEATURES[:8], FEATURES[8:], RankingOptions(**options))


def test_each_option_changes_the_figures():
    plain = figures()[1]
    for options in (
        {"expansion": QueryExpansion(k=3)},
        {"reranking": Reranking(5, 2)},
        {"protocol": "single-shot"},
        {"protocol": "redrawn"},
        {"metric": "euclidean"},
    ):
        other = figures(**options)[1]
        assert list(other) == list(plain) and other != plain


def test_verification_adds_its_rates():
    rates = figures(verification=True)[1]
    assert list(rates)[-3:] == ["TPR@FPR=1e-04", "TPR@FPR=1e-03", "TPR@FPR=1e-02"]
    assert all(0 <= rates[name] <= 1 for name in list(rates)[-3:])


def test_pictures_show_the_distances_that_were_ranked():
    retrieval = figures(reranking=Reranking(5, 2))[0]
    assert retrieval.kind == "re-ranked cosine distance"
    (plain,) = (figures()[0].distances_of(0),)
    assert retrieval.distances_of(0).tolist() != plain.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "l1"}, "unknown metric"),
        ({"max_rank": 5}, "at least 10"),
        ({"memory_mib": 0}, r"at least 1 MiB to rank in \(TEST.MEMORY_MIB\), got 0"),
        ({"protocol": "other"}, "unknown TEST.PROTOCOL 'other'"),
        ({"num_draws": 0}, "TEST.NUM_DRAWS"),
        ({"expansion": QueryExpansion(k=0)}, "TEST.AQE"),
        ({"protocol": "redrawn", "reranking": Reranking()}, "goes with neither"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        RankingOptions(**options)
