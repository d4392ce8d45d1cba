import numpy as np
import pytest

from shared_files import shared
from steploop.projects.reid.evaluation import Verification

RNG = np.random.default_rng(0)


def test_reference_figures():
    values = np.load(shared("golden/reid_extra/ranking.npz"))
    labels = [values[key] for key in ("q_pids", "g_pids", "q_camids", "g_camids")]
    verification = Verification(*labels, rates=(0.01, 0.1, 0.5))
    verification.add(values["dist_cosine"])
    np.testing.assert_allclose(list(verification.true_positive_rates().values()), values["tpr_cosine"], atol=1e-6)


def naive(distances, labels, rate):
    q_pids, g_pids, q_cams, g_cams = (np.asarray(part) for part in labels)
    same = q_pids[:, None] == g_pids
    positives, negatives = distances[same & (q_cams[:, None] != g_cams)], distances[~same]
    thresholds = [t for t in [-np.inf, *np.unique(distances)] if (negatives <= t).mean() <= rate]
    return (positives <= max(thresholds)).mean()


@pytest.mark.parametrize("step", [1, 3, 20])
def test_agrees_with_the_definition(step):
    distances = RNG.integers(0, 12, size=(20, 30)).astype(np.float32)  # many ties
    labels = [RNG.integers(0, top, size=n) for top in (4, 3) for n in (20, 30)]
    rates = (0.0, 0.29, 0.5, 1.0)
    verification = Verification(*labels, rates=rates)
    for start in range(0, 20, step):
        verification.add(distances[start : start + step])
    expected = {rate: naive(distances, labels, rate) for rate in rates}
    assert verification.true_positive_rates() == pytest.approx(expected)


def test_no_pair_of_one_identity():
    verification = Verification([1], [1, 2], [0], [0, 0])
    verification.add(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="got 0 and 1"):
        verification.true_positive_rates()
