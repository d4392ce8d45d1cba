import numpy as np
import pytest
import torch

from steploop.projects.reid import gallery as module
from steploop.projects.reid.evaluation import pairwise_distance
from steploop.projects.reid.gallery import Gallery


def random(count, dim=8, seed=0):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def filled(count=5, dim=8):
    gallery = Gallery()
    gallery.add(random(count, dim), list(range(count)))
    return gallery


def brute_force(queries, features, k):
    """Return (distances, places) by a stable sort of the whole matrix."""
    distances = pairwise_distance(queries, features).numpy()
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), order.tolist()


def test_the_nearest_come_first():
    gallery = Gallery()
    gallery.add(torch.tensor([[0.0, 2.0], [3.0, 0.0], [1.0, 1.0]]), ["up", "right", "between"])
    distances, ids = gallery.query(torch.tensor([[5.0, 0.0], [0.0, -1.0]]), k=2)
    assert ids == [["right", "between"], ["right", "between"]]
    expected = [[0.0, 1 - 0.5**0.5], [1.0, 1 + 0.5**0.5]]
    assert distances.dtype == torch.float32
    assert distances.numpy() == pytest.approx(np.array(expected), abs=1e-6)
    assert gallery.query(torch.tensor([5.0, 0.0]), k=1)[1] == [["right"]]


@pytest.mark.parametrize("k", [1, 7, 300, 1000])
@pytest.mark.parametrize("columns", [1, 64, 10**6])
def test_search_in_parts_is_exact(monkeypatch, k, columns):
    monkeypatch.setattr(module, "_QUERY_BLOCK", 4)
    monkeypatch.setattr(module, "_PAIR_BYTES", 2**20 // columns // 4 if columns < 10**6 else 1)
    features, queries = random(300), random(11, seed=1)
    gallery = Gallery(memory_mb=1)
    for start in range(0, 300, 37):
        gallery.add(features[start : start + 37], list(range(300))[start : start + 37])
    distances, ids = gallery.query(queries, k)
    expected, order = brute_force(queries, gallery.features, k)
    assert ids == order
    assert (distances.numpy() == expected).all()


def test_the_matrix_of_distances_stays_within_the_memory(monkeypatch):
    sizes, taken = [], []

    def spy(a, b, *args):
        sizes.append(len(a) * len(b))
        taken.append(sizes[-1] * module._PAIR_BYTES + (len(a) + len(b)) * 256 * 8)  # features become float64
        return pairwise_distance(a, b, *args)

    monkeypatch.setattr(module, "pairwise_distance", spy)
    gallery = Gallery(memory_mb=1)
    gallery.add(random(1000, 256), list(range(1000)))
    gallery.query(random(600, 256, seed=1), k=3)
    assert sum(sizes) == 600 * 1000
    assert 2**19 <= max(taken) <= 2**20


@pytest.mark.parametrize("block", [1, 3, 100])
def test_at_equal_distance_the_first_added_comes_first(monkeypatch, block):
    monkeypatch.setattr(module, "_PAIR_BYTES", 2**20 // block)
    gallery = Gallery(memory_mb=1)
    same, other = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[-3.0, 0.0, 1.0]])
    names = [f"{place:02}" for place in range(20)][::-1]
    gallery.add(torch.cat([other, *[same * scale for scale in range(1, 20)]]), names)
    distances, ids = gallery.query(same, k=5)
    assert ids == [names[1:6]]
    assert distances.tolist() == [[0.0] * 5]
    gallery.remove([names[2]])
    gallery.add(same, [names[2]])
    assert gallery.query(same, k=20)[1] == [[names[1], *names[3:], names[2], names[0]]]


def test_what_was_removed_is_not_found():
    gallery = filled(5)
    gallery.remove([1, 3, 3])
    assert (gallery.ids, len(gallery), 1 in gallery, 2 in gallery) == ([0, 2, 4], 3, False, True)
    assert torch.equal(gallery.features, filled(5).features[[0, 2, 4]])
    assert gallery.query(random(5)[3], k=9)[1][0] != 3
    gallery.remove(gallery.ids)
    assert (len(gallery), gallery.dim) == (0, None)
    gallery.add(random(2, dim=3), ["a", "b"])  # an empty gallery takes any dimension
    gallery.remove("a")
    assert gallery.ids == ["b"]


def test_ids_are_unique_and_nothing_is_half_done():
    gallery = filled(3)
    for ids, message in (([7, 2], "holds 2 already"), ([7, 7], "given twice: 7")):
        with pytest.raises(ValueError, match=message):
            gallery.add(random(2), ids)
    with pytest.raises(KeyError, match="does not hold 9"):
        gallery.remove([0, 9])
    assert gallery.ids == [0, 1, 2]
    assert torch.equal(gallery.features, filled(3).features)


@pytest.mark.parametrize(
    ("features", "ids", "error", "message"),
    [
        (random(2), [7], ValueError, "an id for each of 2 features, got 1 ids"),
        (random(2), "ab", ValueError, "an id for each"),
        (random(2, dim=3), [7, 8], ValueError, "have 3 dimensions and those of the gallery 8"),
        (random(2)[0], [7, 8], ValueError, r"features \(N, D\)"),
        (random(2).int(), [7, 8], ValueError, "floating type.*int32"),
        (random(2).numpy(), [7, 8], TypeError, "got a ndarray"),
        (random(2) / 0, [7, 8], ValueError, "row 0 of the new features.*not finite"),
        (random(2) * torch.tensor([[1.0], [0.0]]), [7, 8], ValueError, "row 1 of the new features is all zeros"),
        (random(2), [7, 8.0], TypeError, r"a str or an int, got 8\.0, a float"),
        (random(2), [7, True], TypeError, "got True, a bool"),
    ],
)
def test_what_cannot_be_added_is_named(features, ids, error, message):
    gallery = filled(3)
    with pytest.raises(error, match=message):
        gallery.add(features, ids)
    assert len(gallery) == 3


@pytest.mark.parametrize(
    ("features", "k", "message"),
    [
        (random(1), 0, "k >= 1"),
        (random(1, dim=4), 1, "the query features have 4 dimensions"),
        (torch.zeros(1, 8), 1, "row 0 of the query features is all zeros"),
        (torch.full((1, 8), torch.nan), 1, "query features"),
    ],
)
def test_what_cannot_be_searched_is_named(features, k, message):
    with pytest.raises(TypeError, match="features are a tensor, got a list"):
        filled().query([1.0] * 8)
    with pytest.raises(ValueError, match=message):
        filled().query(features, k)
    with pytest.raises(ValueError, match="the gallery is empty"):
        Gallery().query(random(1))
    with pytest.raises(ValueError, match="memory_mb"):
        Gallery(memory_mb=0)


def test_nothing_added_and_nothing_asked():
    gallery = filled(3)
    gallery.add(torch.empty(0, 8), [])
    gallery.remove([])
    assert len(gallery) == 3
    distances, ids = gallery.query(torch.empty(0, 8), k=2)
    assert (distances.shape, ids) == ((0, 2), [])


def test_features_of_any_size_keep_their_direction():
    gallery = Gallery()
    rows = torch.tensor([[3.0, 4.0], [3e30, 4e30], [3e-30, 4e-30]])
    gallery.add(rows.requires_grad_(), [0, 1, 2])
    assert gallery.features.numpy() == pytest.approx(np.array([[0.6, 0.8]] * 3))
    assert not gallery.features.requires_grad
    for row in rows:
        assert gallery.query(row, k=3)[0].numpy() == pytest.approx(np.zeros((1, 3)), abs=1e-6)


@pytest.mark.parametrize("gallery", [Gallery(), filled(4)], ids=["empty", "filled"])
def test_a_saved_gallery_comes_back(gallery, tmp_path):
    gallery.save(tmp_path / "gallery.pt")
    loaded = Gallery.load(tmp_path / "gallery.pt")
    assert (loaded.ids, loaded.dim) == (gallery.ids, gallery.dim)
    assert torch.equal(loaded.features, gallery.features)
    loaded.add(random(1), ["new"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["gallery.pt"]


def test_a_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "gallery.pt"
    with pytest.raises(FileNotFoundError, match=r"gallery\.pt"):
        Gallery.load(path)
    filled().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"gallery\.pt is no gallery that can be read"):
        Gallery.load(path)
    path.write_bytes(whole.replace(filled().features.numpy().tobytes()[:16], bytes(16)))
    with pytest.raises(ValueError, match="damaged"):
        Gallery.load(path)
    torch.save({"model": {"weight": torch.ones(2)}}, path)
    with pytest.raises(ValueError, match="does not hold what Gallery.save writes"):
        Gallery.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": [0, 1]},
        {"ids": [0, 0, 1]},
        {"ids": [0, 1, 2.0]},
        {"ids": None},
        {"kind": "other"},
        {"model": {"features": torch.ones(3)}},
        {"model": {"features": torch.ones(3, 8).half()}},
        {"model": {}},
    ],
)
def test_a_state_of_something_else_is_refused(change):
    with pytest.raises(ValueError, match="it does not hold|its ids are"):
        Gallery().load_state_dict({**filled(3).state_dict(), **change})
