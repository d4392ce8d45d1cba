import pytest
import torch
from torch import nn

from steploop.modeling import export
from steploop.modeling.export import export_program, largest_difference, load_program, pixel_batches, require_onnx


def batches():
    return [torch.randn(size, 3) for size in (1, 4)]


def test_any_model_of_one_tensor_is_exported(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval()
    path = tmp_path / "model.pt2"
    assert export_program(model, torch.zeros(2, 3), path, batches=batches()) <= 1e-5
    x = torch.randn(7, 3)
    torch.testing.assert_close(load_program(path)(x), model(x))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt2"]


def test_a_model_that_is_made_for_one_size_does_not_pass(tmp_path):
    class Fixed(nn.Module):
        def forward(self, x):
            return x * 2 if len(x) == 1 else x * 2 + torch.zeros(2, 3)

    with pytest.raises((ValueError, RuntimeError)):
        export_program(Fixed(), torch.zeros(2, 3), tmp_path / "model.pt2", batches=batches())
    assert not list(tmp_path.iterdir())


def test_pixels_have_the_type_and_size_of_the_example():
    example = torch.zeros(2, 3, 4, 5, dtype=torch.uint8)
    made = list(pixel_batches(example, torch.full((9, 3, 4, 5), 7.0)))
    assert [len(batch) for batch in made] == [1, 2, 5, 2, 8, 1]
    assert {(batch.dtype, batch.shape[1:]) for batch in made} == {(torch.uint8, example.shape[1:])}
    assert made[3].unique().tolist() == [0, 255]
    assert all(torch.equal(a, b) for a, b in zip(made[:3], pixel_batches(example)))


def test_the_largest_difference_of_all_batches():
    batches = [torch.zeros(2, 3), torch.ones(1, 3), torch.zeros(1, 3)]
    assert largest_difference(lambda x: x, lambda x: x * 0.75, iter(batches)) == 0.25
    nan = largest_difference(lambda x: x, lambda x: torch.where(x > 0, torch.nan, x), iter(batches))
    assert nan != nan
    with pytest.raises(ValueError, match=r"output of shape \(1, 3\) where the model returns \(2, 3\)"):
        largest_difference(lambda x: x, lambda x: x[:1], iter(batches))


def test_missing_packages_of_onnx_are_named(monkeypatch):
    monkeypatch.setattr(export, "_ONNX_PACKAGES", ("torch", "no_such_package"))
    with pytest.raises(RuntimeError, match=r"ONNX needs no_such_package: pip install -e '\.\[onnx\]'"):
        require_onnx()
