import threading

import pytest
import torch

from steploop.engine.checkpoint import BackgroundTask, KeptBuffers


def test_copy_is_kept_apart_and_reused():
    weight = torch.randn(100)
    tree = {"a": weight, "b": [weight.view(10, 10)[:, 3:], torch.empty(0)], "n": 1}
    buffers = KeptBuffers()
    copy = buffers.copy(tree)
    before = weight.clone()
    weight.zero_()
    assert torch.equal(copy["a"], before) and torch.equal(copy["b"][0], before.view(10, 10)[:, 3:])
    assert copy["b"][0].untyped_storage().data_ptr() == copy["a"].untyped_storage().data_ptr()
    again = buffers.copy(tree)
    assert again["a"].data_ptr() == copy["a"].data_ptr()
    assert torch.equal(again["a"], torch.zeros(100))


def test_copy_follows_other_sizes():
    buffers = KeptBuffers()
    buffers.copy([torch.ones(3), torch.ones(4)])
    copy = buffers.copy([torch.full((5,), 2.0)])
    assert torch.equal(copy[0], torch.full((5,), 2.0)) and len(buffers._buffers) == 1


def test_copies_lie_in_memory_as_their_originals_do():
    buffers = KeptBuffers()
    whole = torch.arange(12.0)
    trees = [
        [torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), torch.arange(6).view(2, 3)],
        # The same bytes in another shape, another order and another type.
        [torch.randn(2, 3, 5, 4), torch.arange(6.0, dtype=torch.float64).view(3, 2).t()],
        [whole[2:], whole[:8].view(2, 4).t()],
    ]
    for tree in [*trees, trees[0]]:
        for copy, original in zip(buffers.copy(tree), tree):
            assert torch.equal(copy, original)
            assert (copy.dtype, copy.stride()) == (original.dtype, original.stride())
            assert copy.untyped_storage().data_ptr() != original.untyped_storage().data_ptr()


def test_one_at_a_time_and_no_thread_is_left():
    threads = threading.active_count()  # other tests' libraries may have left daemon threads
    task, go, order = BackgroundTask(), threading.Event(), []
    task.start(lambda: (go.wait(30), order.append(1)), "first")
    starter = threading.Thread(target=task.start, args=(lambda: order.append(2), "second"))
    starter.start()
    order_before = order.copy()
    go.set()
    starter.join()
    assert order_before == []
    task.wait()
    assert order == [1, 2]
    assert threading.active_count() == threads


def test_error_is_raised_once_by_wait_or_the_next_start():
    task = BackgroundTask()

    def fail():
        raise OSError("disk full")

    task.start(fail, "save")
    with pytest.raises(OSError, match="disk full"):
        task.wait()
    task.wait()
    task.start(fail, "save")
    with pytest.raises(OSError, match="disk full"):
        task.start(lambda: None, "next")
