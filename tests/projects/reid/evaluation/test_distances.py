import numpy as np
import pytest
import torch

from shared_files import shared
from steploop.projects.reid.evaluation import distance_blocks, pairwise_distance
from steploop.projects.reid.evaluation.distances import rows_within


def naive(a, b, metric):
    a, b = a.double(), b.double()
    if metric == "euclidean":
        return (a[:, None] - b[None]).square().sum(-1)
    return 1 - torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=-1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_reference_figures(metric):
    data = np.load(shared("golden/ranking.npz"))
    distances = pairwise_distance(torch.from_numpy(data["q"]), torch.from_numpy(data["g"]), metric)
    expected = data[f"dist_{metric}"]
    assert np.abs(distances.numpy() - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("offset", [0.0, 1000.0, 100_000.0])
def test_agrees_with_the_formula(metric, offset):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, 40, generator=generator) + offset for n in (7, 5000))  # more columns than one block
    torch.testing.assert_close(
        pairwise_distance(a, b, metric),
        naive(a, b, metric).float(),
        rtol=1e-5,
        atol=1e-11 if metric == "cosine" else 1e-9,
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_equal_features_tie(metric):
    one = torch.randn(1, 257, generator=torch.Generator().manual_seed(1)) * 50
    assert (pairwise_distance(one.expand(9, -1), one.expand(5001, -1), metric) == 0).all()
    other = torch.randn(3, 257, generator=torch.Generator().manual_seed(2))
    rows = pairwise_distance(other, one.expand(5001, -1), metric)
    assert (rows == rows[:, :1]).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_pieces_give_the_same_bits(metric):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, 64, generator=generator) for n in (50, 300))
    pieces = torch.cat([pairwise_distance(piece, b, metric) for piece in a.split(7)])
    assert torch.equal(pieces, pairwise_distance(a, b, metric))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_blocks_are_the_rows_in_order(metric):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, 64, generator=generator) for n in (400, 2500))
    blocks = [block.clone() for block in distance_blocks(a, b, metric, memory_mib=6)]
    assert [len(block) for block in blocks] == [rows_within(6, 2500, 64)] * (len(blocks) - 1) + [len(blocks[-1])]
    assert len(blocks) > 2
    assert torch.equal(torch.cat(blocks), pairwise_distance(a, b, metric))


def test_blocks_share_their_memory():
    a, b = torch.randn(300, 16), torch.randn(2000, 16)
    assert len({block.data_ptr() for block in distance_blocks(a, b, memory_mib=2)}) == 1


def test_blocks_of_no_row():
    assert sum(len(block) for block in distance_blocks(torch.ones(0, 2), torch.ones(3, 2))) == 0


# The features of MSMT17: its distances alone would take 3.8 GB.
@pytest.mark.parametrize("memory_mib", [128, 512, 1000])
def test_rows_fill_the_memory_and_not_more(memory_mib):
    rows = rows_within(memory_mib, 82161, 2048)
    piece, row, product, distances = 2048 * 2048 * 8, 2048 * 8, 2048 * 8, 82161 * 4
    used = piece + rows * (row + product + distances)
    assert used <= memory_mib * 2**20 < used + row + product + distances


def test_memory_for_less_than_a_row():
    with pytest.raises(
        ValueError, match=r"32 MiB do not hold .* 82,161 images of 2,048 .*set TEST\.MEMORY_MIB .* 33 at"
    ):
        rows_within(32, 82161, 2048)
    assert rows_within(33, 82161, 2048) >= 1


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_features_stay_as_they_are(metric):
    a, b = torch.randn(5, 7, dtype=torch.float64), torch.randn(6, 7, dtype=torch.float64)
    before = a.clone(), b.clone()
    result = pairwise_distance(a.requires_grad_(), b, metric)
    assert not result.requires_grad
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])


def test_a_zero_feature_is_unlike_everything():
    assert pairwise_distance(torch.zeros(1, 3), torch.eye(3)).tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision(dtype):
    result = pairwise_distance(torch.ones(2, 4, dtype=dtype), torch.ones(3, 4, dtype=dtype), "euclidean")
    assert result.dtype == torch.float32
    assert result.shape == (2, 3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", [0, 1])
def test_features_that_are_not_finite(bad, which):
    features = [torch.ones(4, 3), torch.ones(4, 3)]
    features[which][2, 1] = bad
    with pytest.raises(ValueError, match=f"row 2 of the {('first', 'second')[which]} features"):
        pairwise_distance(*features)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="unknown metric 'l1': choose one of cosine, euclidean"):
        pairwise_distance(torch.ones(1, 2), torch.ones(1, 2), "l1")
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(1, 3\)"):
        pairwise_distance(torch.ones(1, 2), torch.ones(1, 3))
