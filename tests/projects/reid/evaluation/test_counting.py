import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steploop.projects.reid.evaluation import counting

LEVELS = st.sampled_from([-1.0, -0.0, 0.0, 0.25, 1.0, float("inf"), float("-inf")])
FORMS = {"array": np.asarray, "tensor": torch.from_numpy}


@pytest.fixture(params=FORMS)
def form(request):
    """Count in an array, a row at a time, and in a tensor, all rows at once, as on a GPU."""
    return FORMS[request.param]


def expected(rows, thresholds, sizes):
    counts, start = [], 0
    for row, size in zip(rows, sizes):
        counts += [int((row <= threshold).sum()) for threshold in thresholds[start : start + size]]
        start += size
    return counts


@st.composite
def problems(draw):
    """Rows of few values with none to some thresholds each, which need not be among them."""
    num_rows, num_columns = draw(st.integers(1, 5)), draw(st.integers(1, 20))
    rows = [draw(st.lists(LEVELS, min_size=num_columns, max_size=num_columns)) for _ in range(num_rows)]
    limits = [sorted(draw(st.lists(LEVELS, max_size=6))) for _ in range(num_rows)]
    return (
        np.array(rows, dtype=np.float32),
        np.array(sum(limits, []), dtype=np.float32),
        np.array(list(map(len, limits))),
    )


@given(problem=problems(), few=st.integers(0, 20), many=st.integers(1, 7), name=st.sampled_from(sorted(FORMS)))
@settings(max_examples=300, deadline=None)
def test_agrees_with_the_definition(problem, few, many, name):
    rows, thresholds, sizes = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_FEW", few)
        patch.setattr(counting, "_MANY", many)
        counts = counting.count_up_to(FORMS[name](rows), thresholds, sizes)
    assert counts.dtype == np.int64
    assert counts.tolist() == expected(rows, thresholds, sizes)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("levels", [2, 50, 2000])
def test_many_thresholds_in_long_rows(form, dtype, levels):
    rng = np.random.default_rng(0)
    sizes = np.array([0, 150, 1, 63, 64, 65])
    rows = rng.integers(0, levels, (len(sizes), 3000)).astype(dtype)
    thresholds = np.concatenate([np.sort(rng.choice(row, size)) for row, size in zip(rows, sizes)])
    assert counting.count_up_to(form(rows), thresholds, sizes).tolist() == expected(rows, thresholds, sizes)


def test_no_threshold(form):
    counts = counting.count_up_to(form(np.ones((2, 3))), np.empty(0), np.zeros(2, dtype=np.int64))
    assert counts.shape == (0,)


def test_the_row_is_not_sorted_where_few_are_near(monkeypatch):
    """What the speed rests on: of a row only those entries are sorted that are as near as few positives."""
    sorted_sizes = []
    monkeypatch.setattr(np, "sort", lambda values, sort=np.sort: sorted_sizes.append(len(values)) or sort(values))
    row = np.random.default_rng(0).permutation(100_000).astype(np.float32)[None]
    thresholds = np.array([3, 9, 100, 400, 20_000, 60_000], dtype=np.float32)
    assert counting.count_up_to(row, thresholds, np.array([6])).tolist() == [4, 10, 101, 401, 20_001, 60_001]
    assert sorted_sizes == [401]


def test_many_far_thresholds_are_not_compared_one_by_one(monkeypatch):
    compared = []
    compare = np.less_equal
    monkeypatch.setattr(np, "less_equal", lambda *args, out: compared.append(args) or compare(*args, out=out))
    row = np.random.default_rng(0).permutation(20_000).astype(np.float32)[None]
    thresholds = np.arange(10_000, 11_000, dtype=np.float32)
    counts = counting.count_up_to(row, thresholds, np.array([1000]))
    assert counts.tolist() == list(range(10_001, 11_001))
    assert len(compared) == 64
