import pytest
import torch

import exact_runs
from steploop.data import OverfitLoader, tensors_of
from tiny import TinyLoader, tiny_trainer
from toy_data import loader


def take(loader, count):
    batches = iter(loader)
    return [next(batches) for _ in range(count)]


def test_the_first_batches_come_again_and_again():
    inner = TinyLoader()
    inner.seek(50)
    loader = OverfitLoader(inner, 2)
    first = take(TinyLoader(), 2)
    for index, batch in enumerate(take(loader, 7)):
        assert torch.equal(batch, first[index % 2])
    assert inner.drawn == [0, 1]


def test_it_is_entered_at_any_step_also_with_micro_batches():
    loader = OverfitLoader(TinyLoader(), 3, batches_per_step=2)
    loader.seek(10)  # the second of three
    for batch, step in zip(take(loader, 5), [2, 3, 4, 5, 0]):
        assert torch.equal(batch, take(TinyLoader(), 6)[step])


def test_a_model_may_change_its_batch():
    loader = OverfitLoader(TinyLoader(), 1)
    batches = iter(loader)
    batch = next(batches)
    expected = batch.clone()
    batch.zero_()
    assert torch.equal(next(batches), expected)


def test_the_items_of_a_step_are_those_of_its_batch():
    class Knows(TinyLoader):
        dataset, batch_size, epoch_length = "set", 4, 40

        def items_at(self, step):
            return [step]

    loader = OverfitLoader(Knows(), 3)
    assert loader.items_at(7) == [1]
    assert (loader.dataset, loader.batch_size, loader.epoch_length) == ("set", 4, 40)
    assert not hasattr(OverfitLoader(TinyLoader(), 3), "batch_size")
    assert not hasattr(OverfitLoader([], 3), "items_at"), "who asks for the items of a bad step looks for it first"


def test_a_foreign_iterable_is_not_closed():
    def batches():
        for number in range(9):
            yield torch.tensor(number)

    generator = batches()
    assert take(OverfitLoader(generator, 2), 3) == [0, 1, 0]
    assert next(generator) == 2


def test_kept_batches_hold_no_shared_memory_open():
    inner = loader(num_workers=1)
    kept = OverfitLoader(inner, 3)
    take(kept, 1)
    assert not any(tensor.is_shared() for batch in kept._batches for tensor in tensors_of(batch))


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="DATALOADER.OVERFIT_BATCHES"):
        OverfitLoader(TinyLoader(), -1)


def test_a_loader_that_ends_too_early_is_told_so():
    with pytest.raises(ValueError, match="after 3 batches; 4 are needed"):
        take(OverfitLoader([torch.ones(2, 3)] * 3, 2, batches_per_step=2), 1)


def test_a_model_learns_its_batch_by_heart():
    trainer = tiny_trainer(0.05)
    trainer.data_loader = OverfitLoader(trainer.data_loader, 1)
    trainer.train(0, 300)
    losses = [value for value, _ in trainer.storage.history("total_loss").values()]
    assert losses[-1] < losses[0] / 1000


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_ends_in_the_same_bits(tmp_path, workers):
    run = ("DATALOADER.OVERFIT_BATCHES", 2, "DATALOADER.NUM_WORKERS", workers, *exact_runs.ACCUMULATED)
    trainer = exact_runs.train(tmp_path / "whole", *run)
    for kill in (("after_backward", 4), ("saved", 8)):
        exact_runs.train(tmp_path / "killed", *run, kill=kill)
    exact_runs.train(tmp_path / "killed", *run)
    assert exact_runs.differences(tmp_path / "whole", tmp_path / "killed") == []
    batches = trainer.model.seen
    assert all(batch == batches[index % 4] for index, batch in enumerate(batches))
    assert len(batches) == 24 and batches[0] != batches[1]
