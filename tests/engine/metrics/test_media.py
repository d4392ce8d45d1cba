import pytest
import torch

from steploop.engine import EventStorage


def put(image):
    storage = EventStorage()
    storage.put_image("x", image)
    return [picture for _, picture, _ in storage.images()]


def test_a_picture_is_what_it_was_when_it_was_put():
    batch = torch.full((3, 2, 2), 200, dtype=torch.uint8)
    storage = EventStorage()
    storage.put_image("x", batch)
    batch.zero_()
    assert storage.images()[0][1].eq(200).all()


def test_no_graph_is_kept():
    (picture,) = put(torch.ones(3, 2, 2, requires_grad=True) * 2)
    assert picture.grad_fn is None and not picture.requires_grad


@pytest.mark.parametrize(
    "image, value",
    [
        (torch.full((4, 5), 0.5), 0.5),
        (torch.full((1, 4, 5), 7, dtype=torch.uint8), 7),
        (torch.full((3, 4, 5), float("nan")), 0.0),
        (torch.full((3, 4, 5), 1e9), 1.0),
        (torch.ones(3, 4, 5, dtype=torch.bool), 255),
        (torch.full((3, 4, 5), 300), 255),
        (torch.full((3, 4, 5), 0.25, dtype=torch.bfloat16), 0.25),
    ],
)
def test_pictures_of_other_types_and_shapes_are_shown(image, value):
    (picture,) = put(image)
    assert picture.shape == (3, 4, 5) and picture.eq(value).all()


@pytest.mark.parametrize(
    "image", [torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4), torch.zeros(3, 0, 4), torch.zeros(3), torch.zeros(()),
              torch.zeros(3, 2, 2, dtype=torch.complex64)]
)  # fmt: skip
def test_what_is_no_picture_is_a_warning(image, caplog):
    assert put(image) == []
    assert "a picture is (3, H, W)" in caplog.text


ODD = {
    "nan": (torch.tensor([1.0, float("nan"), 3.0]), 2),
    "inf": (torch.tensor([1.0, float("inf"), -float("inf")]), 1),
    "int": (torch.arange(5), 5),
    "bool": (torch.tensor([True, False]), 2),
    "one": (torch.tensor(2.0), 1),
    "zeros": (torch.zeros(4), 4),
    "half": (torch.ones(3).half(), 3),
    "huge": (torch.tensor([1e30]), 1),
}


@pytest.mark.parametrize("name", ODD)
def test_histograms_count_the_finite_values(name):
    values, finite = ODD[name]
    storage = EventStorage()
    storage.put_histogram(name, values, bins=10)
    (histogram,) = storage.histograms()
    limits = histogram["bucket_limits"]
    assert histogram["num"] == sum(histogram["bucket_counts"]) == finite
    assert limits == sorted(limits) and limits[-1] > limits[0]


@pytest.mark.parametrize("values", [torch.zeros(0), torch.full((2,), torch.nan), torch.ones(3, dtype=torch.complex64)])
def test_a_histogram_of_nothing_is_a_warning(values, caplog):
    storage = EventStorage()
    for _ in range(2):
        storage.put_histogram("x", values)
    assert storage.histograms() == []
    assert len({record.getMessage() for record in caplog.records}) == len(caplog.records) == 1
