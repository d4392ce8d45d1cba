import gc
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch

from steploop.data import ImageCache, MappedDataset, StepBatchSampler, TrainingSampler, TrainLoader
from toy_images import SHAPE, CachedMapper, image_of

ROOT = Path(__file__).resolve().parents[3]


def cache(count=6, mebibytes=1.0):
    return ImageCache(range(count), SHAPE, mebibytes)


def never():
    raise AssertionError("it was made once more")


def test_an_image_is_made_once():
    kept = cache()
    for key in range(6):
        assert torch.equal(kept.get(key, lambda key=key: image_of(key)), image_of(key))
    for key in range(6):
        assert torch.equal(kept.get(key, never), image_of(key))


def test_a_black_image_is_kept_too():
    kept = cache()
    kept.get(0, lambda: torch.zeros(SHAPE, dtype=torch.uint8))
    assert not kept.get(0, never).any()
    with pytest.raises(AssertionError):
        kept.get(1, never)


def test_the_bound_is_kept():
    size = 8 + 8 * -(-torch.Size(SHAPE).numel() // 8)
    kept = ImageCache(range(100), SHAPE, 10.5 * size / 2**20)
    assert (kept.capacity, kept.nbytes) == (10, 10 * size)
    made = []
    for key in 2 * list(range(100)):
        assert torch.equal(kept.get(key, lambda key=key: made.append(key) or image_of(key)), image_of(key))
    assert made == [*range(100), *range(10, 100)]


def test_no_more_is_taken_than_the_images_need():
    kept = ImageCache(["a", "b", "a"], SHAPE, 100)
    assert kept.capacity == 2 and kept.nbytes < 2**12
    for key in "ab":
        assert torch.equal(kept.get(key, lambda key=key: image_of(ord(key))), image_of(ord(key)))


def test_an_image_that_is_not_written_to_its_end_is_none():
    kept = cache()
    kept.get(0, lambda: image_of(0)).view(-1)[7] += 1
    assert torch.equal(kept.get(0, lambda: image_of(0)), image_of(0))


def test_what_a_failed_maker_leaves_is_no_image():
    kept = cache()
    with pytest.raises(AssertionError):
        kept.get(0, never)
    assert torch.equal(kept.get(0, lambda: image_of(0)), image_of(0))


@pytest.mark.parametrize("bad", [torch.zeros(3, 2, 2, dtype=torch.uint8), torch.zeros(SHAPE)])
def test_images_of_another_kind_are_refused(bad):
    with pytest.raises(ValueError, match="expected an image of uint8"):
        cache().get(0, lambda: bad)


@pytest.mark.parametrize("mebibytes", [1e-5, 0, -1])
def test_a_cache_for_no_image_is_an_error(mebibytes):
    with pytest.raises(ValueError, match=r"does not hold one image of \(3, 6, 5\).* DATALOADER.CACHE"):
        cache(mebibytes=mebibytes)


def test_too_little_shared_memory_is_an_error(monkeypatch):
    def full(self):
        raise RuntimeError("No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with pytest.raises(RuntimeError, match=r"lower DATALOADER.CACHE.*No space left"):
        cache()


def loader(made, *, kept=None, num_workers=0):
    items = range(24)
    batches = StepBatchSampler(TrainingSampler(24, seed=1), 4)
    return TrainLoader(MappedDataset(items, CachedMapper(made, kept), 1), batches, num_workers=num_workers)


def take(made, count, start=0):
    made.seek(start)
    try:
        return torch.cat([batch["image"] for batch in islice(made, count)])
    finally:
        made.close()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_all_workers_fill_and_read_one_cache(tmp_path, num_workers):
    expected = take(loader(tmp_path / "without"), 18)
    for number, kept in enumerate([cache(24), cache(5)]):
        log = tmp_path / f"made {number}"
        filled = loader(log, kept=kept, num_workers=num_workers)
        assert torch.equal(take(filled, 18), expected)
        assert torch.equal(take(filled, 6, start=12), expected[48:72])
        after = len(log.read_text())
        # Another process filled it, or none did; here is what it holds.
        for key in range(kept.capacity):
            assert torch.equal(kept.get(key, never), image_of(key))
        if kept.capacity == 24:
            # Nothing is made again, but for what two workers made at the same time.
            assert 24 <= after <= 24 + 4 * 4 * num_workers
            assert torch.equal(take(filled, 6, start=30), take(loader(tmp_path / "without"), 6, start=30))
            assert len(log.read_text()) == after


def test_workers_that_are_no_forks_share_it_too(tmp_path):
    kept = cache(24)
    made = loader(tmp_path / "made", kept=kept, num_workers=1)
    made._loader.multiprocessing_context = "spawn"
    take(made, 6)
    for key in range(24):
        assert torch.equal(kept.get(key, never), image_of(key))


def files_of(pid):
    """Return the names of the shared memory that a process made."""
    return [path.name for path in Path("/dev/shm").iterdir() if f"torch_{pid}_" in path.name]


def test_images_of_several_shapes():
    shapes = {"a": (3, 4, 5), "b": (3, 9, 2), "a clip": (2, 3, 4, 4), "too much": (3, 200, 200)}
    kept = ImageCache(shapes, list(shapes.values()), 0.01)
    assert kept.capacity == 3 and kept.nbytes == 8 * (1 + 8 + 1 + 7 + 1 + 12)
    made = {key: torch.randint(0, 256, shape, dtype=torch.uint8) for key, shape in shapes.items()}
    for _ in range(2):
        for key, image in made.items():
            assert torch.equal(kept.get(key, lambda image=image: image), image)
    assert torch.equal(kept.get("b", lambda: pytest.fail("it is kept")), made["b"])
    other = ImageCache(shapes, list(shapes.values()), 0.01)
    with pytest.raises(ValueError, match=r"uint8 \(3, 9, 2\) to keep, got torch.uint8 \(3, 4, 5\)"):
        other.get("b", lambda: made["a"])
    with pytest.raises(ValueError, match="one for each of the 4 images; got 1"):
        ImageCache(shapes, [(3, 4, 5)], 0.01)


def test_nothing_is_left_of_the_memory():
    def held():
        maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if "/torch_" in line]
        return len(maps), len(list(Path("/proc/self/fd").iterdir()))

    gc.collect()
    before = held()
    kept = cache()
    kept.get(0, lambda: image_of(0))
    assert held() == (before[0] + 1, before[1] + 1)
    assert files_of(os.getpid()) == []
    del kept
    gc.collect()
    assert held() == before


KILLED = """
import os, signal, sys
sys.path.insert(0, "tests/support")
from toy_images import SHAPE, image_of
from steploop.data import ImageCache
kept = ImageCache(range(6), SHAPE, 1.0)
kept.get(0, lambda: image_of(0))
print(os.getpid(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_of_a_killed_process():
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -9 and done.stderr == ""
    assert files_of(int(done.stdout)) == []
