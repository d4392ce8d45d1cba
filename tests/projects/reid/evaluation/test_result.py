import numpy as np
import pytest

from steploop.projects.reid.evaluation import RetrievalResult


def test_means_leave_out_queries_without_a_match():
    result = RetrievalResult(
        cmc=np.array([0.5, 1.0]),
        ap=np.array([0.5, np.nan, 1.0]),
        inp=np.array([0.25, np.nan, 0.5]),
        valid=np.array([True, False, True]),
    )
    assert (result.mean_ap, result.mean_inp, result.num_skipped) == (0.75, 0.375, 1)
    assert (result.rank(1), result.rank(2)) == (0.5, 1.0)
    for k in (0, 3):
        with pytest.raises(ValueError, match=rf"Rank-{k} was not computed: choose k in 1\.\.2 or raise max_rank"):
            result.rank(k)
