"""What ranks say to each other; each function is right in a single process, without a process group, too."""

import secrets
import weakref
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class _Local:
    """This process among those of its machine."""

    rank: int
    size: int
    group: dist.ProcessGroup | None


# What is remembered hangs on the process group that it was made for: a process that destroys its group and joins
# another must not meet the old one again.
_local: "weakref.WeakKeyDictionary[dist.ProcessGroup, _Local]" = weakref.WeakKeyDictionary()
_gloo: "weakref.WeakKeyDictionary[dist.ProcessGroup, dist.ProcessGroup]" = weakref.WeakKeyDictionary()


def _is_initialized() -> bool:
    return dist.is_available() and dist.is_initialized()


def _world() -> dist.ProcessGroup:
    assert dist.group.WORLD is not None
    return dist.group.WORLD


def get_world_size() -> int:
    """Return the number of processes, 1 without a process group."""
    return dist.get_world_size() if _is_initialized() else 1


def get_rank() -> int:
    """Return this process's number among all, 0 without a process group."""
    return dist.get_rank() if _is_initialized() else 0


def is_main_process() -> bool:
    """Say whether this is rank 0, the one that writes."""
    return get_rank() == 0


def get_local_rank() -> int:
    """Return this process's number among those of its machine, 0 without a process group.

    Raises:
        RuntimeError: several processes run, and nobody has said how they lie on the machines.
    """
    return _get_local().rank


def get_local_size() -> int:
    """Return how many processes run on this machine, 1 without a process group.

    Raises:
        RuntimeError: several processes run, and nobody has said how they lie on the machines.
    """
    return _get_local().size


def get_local_process_group() -> dist.ProcessGroup:
    """Return the group of this machine's processes.

    Raises:
        RuntimeError: `create_local_process_group` was not called.
    """
    group = _get_local().group
    if group is None:
        raise RuntimeError("there is no local process group: call create_local_process_group() on every rank first")
    return group


def _get_local() -> _Local:
    if get_world_size() == 1:
        return _Local(0, 1, _world() if _is_initialized() else None)
    local = _local.get(_world())
    if local is None:
        raise RuntimeError(
            "the local rank is unknown: start the program with steploop.engine.launch, "
            "or call create_local_process_group() on every rank after init_process_group()"
        )
    return local


def set_local_rank(rank: int, size: int) -> None:
    """Record that this process is number `rank` of the `size` on its machine (its launcher knows)."""
    if not 0 <= rank < size:
        raise ValueError(f"a local rank lies in [0, {size}), got {rank}")
    if _is_initialized():
        _local[_world()] = _Local(rank, size, None)


def create_local_process_group(num_workers_per_machine: int) -> None:
    """Make a group for the processes of each machine; every rank must call this.

    Args:
        num_workers_per_machine: processes on each machine; ranks lie on the machines in contiguous blocks.

    Raises:
        ValueError: the world does not divide into such blocks.
    """
    world, rank = get_world_size(), get_rank()
    if num_workers_per_machine < 1 or world % num_workers_per_machine:
        raise ValueError(f"{world} processes do not divide into blocks of {num_workers_per_machine} for each machine")
    if world == 1:
        return
    machine, local_rank = divmod(rank, num_workers_per_machine)
    for first in range(0, world, num_workers_per_machine):
        group = dist.new_group(list(range(first, first + num_workers_per_machine)))
        if first == machine * num_workers_per_machine:
            _local[_world()] = _Local(local_rank, num_workers_per_machine, group)


def synchronize() -> None:
    """Wait until every process has come here."""
    if get_world_size() == 1:
        return
    if dist.get_backend() == "nccl":
        # Without the device, NCCL guesses one from the rank.
        dist.barrier(device_ids=[torch.cuda.current_device()])
    else:
        dist.barrier()


def _object_group() -> dist.ProcessGroup:
    """Return a group that moves pickled objects: NCCL would take each of them through GPU memory."""
    world = _world()
    if dist.get_backend() != "nccl":
        return world
    if world not in _gloo:
        _gloo[world] = dist.new_group(backend="gloo")
    return _gloo[world]


def all_gather(data: Any, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Collect a picklable object from every process.

    Args:
        data: anything that pickles; sizes may differ.
        group: who takes part; by default everyone, over gloo.

    Returns:
        The objects in the order of ranks, on every process.
    """
    if get_world_size() == 1:
        return [data]
    group = group or _object_group()
    gathered: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(gathered, data, group=group)
    return gathered


def gather(data: Any, dst: int = 0, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Collect a picklable object from every process at one of them.

    Args:
        data: anything that pickles; sizes may differ.
        dst: the global rank that receives.
        group: who takes part; by default everyone, over gloo.

    Returns:
        The objects in the order of ranks on `dst`, an empty list elsewhere.
    """
    if get_world_size() == 1:
        return [data]
    group = group or _object_group()
    if get_rank() != dst:
        dist.gather_object(data, None, dst=dst, group=group)
        return []
    gathered: list[Any] = [None] * dist.get_world_size(group)
    dist.gather_object(data, gathered, dst=dst, group=group)
    return gathered


def gather_tensor(tensor: torch.Tensor, dst: int = 0) -> list[torch.Tensor]:
    """Collect a CPU tensor (N, ...) from every process at one of them, without pickling.

    Args:
        tensor: N may differ from process to process; the rest of the shape may not, except where N is 0.
        dst: the rank that receives.

    Returns:
        The tensors in the order of ranks on `dst`, an empty list elsewhere.
    """
    if get_world_size() == 1:
        return [tensor]
    group = _object_group()
    shapes = [torch.empty(tensor.ndim, dtype=torch.int64) for _ in range(get_world_size())]
    dist.all_gather(shapes, torch.tensor(tensor.shape), group=group)
    rows = [int(shape[0]) for shape in shapes]
    padded = tensor.new_zeros((max(rows), *torch.stack(shapes)[:, 1:].amax(0).tolist()))
    if len(tensor):
        padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in rows] if get_rank() == dst else None
    dist.gather(padded, parts, dst=dst, group=group)
    return [part[:count] for part, count in zip(parts or (), rows)]


def shared_random_seed() -> int:
    """Return a number in [0, 2**31) that rank 0 draws from the system's entropy and all ranks agree on.

    Every process must call this. The global random generators neither decide nor notice it.
    """
    return all_gather(secrets.randbits(31))[0]


def reduce_dict(input_dict: dict[str, torch.Tensor], average: bool = True) -> dict[str, torch.Tensor]:
    """Add up, or average, scalar tensors over all processes at rank 0.

    Args:
        input_dict: 0-d tensors on one device, with the same keys on every process.
        average: divide by the number of processes.

    Returns:
        A dict with the same keys. Only rank 0 holds the result; what the others hold is undefined.
    """
    if get_world_size() == 1 or not input_dict:
        return input_dict
    names = sorted(input_dict)
    with torch.no_grad():
        values = torch.stack([input_dict[name] for name in names])
        dist.reduce(values, dst=0)
        if average and is_main_process():
            values /= get_world_size()
    return dict(zip(names, values.unbind()))
