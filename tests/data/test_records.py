import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import torch

from steploop.data import ConcatDataset, MappedDataset, RepeatDataset, SharedRecords, Subset, as_records
from toy_data import loader


class Row(NamedTuple):
    path: str
    label: int


RECORDS = [
    {"file_name": f"{n}.jpg", "boxes": [{"bbox": [n, 1.5, 2.0, 3.25], "crowd": False}] * n, "none": None}
    for n in range(5)
]


def test_records_come_back_equal_and_are_new_objects():
    records = SharedRecords(RECORDS)
    assert len(records) == 5 and list(records) == RECORDS and records[-1] == RECORDS[4] and records[1:3] == RECORDS[1:3]
    records[0]["file_name"] = "changed"
    assert records[0] == RECORDS[0]
    with pytest.raises(IndexError):
        records[5]
    assert list(SharedRecords(iter("ab"))) == ["a", "b"]
    assert len(SharedRecords([])) == 0 and list(SharedRecords([])) == []


def test_tuples_arrays_and_tensors():
    given = [Row("a", 1), np.arange(3, dtype=np.int16), torch.tensor([1.5, 2]), {1: (2, "ü")}]
    row, array, tensor, other = SharedRecords(given)
    assert (row, other) == (given[0], given[3]) and isinstance(row, Row)
    assert array.tolist() == [0, 1, 2] and array.dtype == np.int16
    assert torch.equal(tensor, given[2])
    array[0], tensor[0] = 9, 9  # they own their memory


def test_what_cannot_be_stored_is_named():
    with pytest.raises(TypeError, match="record 1, .*lambda.* cannot be stored"):
        SharedRecords([1, lambda: 0])
    with pytest.raises(TypeError, match="record 0"):
        SharedRecords([torch.ones(1, dtype=torch.bfloat16)])


def test_only_lists_are_packed():
    assert isinstance(as_records([1]), SharedRecords) and isinstance(as_records((1,)), SharedRecords)
    for other in (range(3), RepeatDataset([1], 2), Row("a", 1)):
        assert as_records(other) is other


def test_the_fingerprint_follows_from_what_the_records_say():
    text = "".join(["a", "b"])
    shared, apart = [{"x": [text, text]}], [{"x": ["".join(["a", "b"]), "".join(["a", "b"])]}]
    assert SharedRecords(shared).fingerprint() == SharedRecords(apart).fingerprint()
    different = [RECORDS, RECORDS[::-1], RECORDS[:4], [*RECORDS, 1], [{**RECORDS[0], "none": 0}, *RECORDS[1:]]]
    assert len({SharedRecords(records).fingerprint() for records in different}) == 5
    assert SharedRecords(["ab", "c"]).fingerprint() != SharedRecords(["a", "bc"]).fingerprint()
    assert SharedRecords([torch.ones(2)]).fingerprint() == SharedRecords([torch.ones(2)]).fingerprint()


def test_another_process_has_the_same_fingerprint():
    code = """
from steploop.data import SharedRecords
import torch
print(SharedRecords([{"a": "x" * 3, "b": [1, 2.5, None], "t": torch.arange(3)}]).fingerprint())
"""
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    records = [{"a": "xxx", "b": [1, 2.5, None], "t": torch.arange(3)}]
    assert done.stdout.strip() == SharedRecords(records).fingerprint()


def test_data_sets_made_of_others_have_fingerprints_too():
    records, other = SharedRecords(RECORDS), SharedRecords([1])
    made = [
        records,
        ConcatDataset(records, other),
        ConcatDataset(other, records),
        RepeatDataset(records, 2),
        RepeatDataset(records, 3),
        Subset(records, [0, 1]),
        Subset(records, [1, 0]),
        Subset(ConcatDataset(records, other), [0, 1]),
    ]
    assert len({items.fingerprint() for items in made}) == len(made)
    assert ConcatDataset(records, RECORDS).fingerprint() is None


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_read_them(workers):
    made = loader(items=SharedRecords(list(range(20))), num_workers=workers)
    plain = loader(items=range(20))
    assert torch.equal(next(iter(made))["item"], next(iter(plain))["item"])
    made.close()


def test_a_spawned_process_gets_the_same_memory():
    """torch moves the buffer to shared memory when it is sent; the sender's records go on working."""
    records = SharedRecords(RECORDS)
    dataset = MappedDataset(records, print)
    context = torch.multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    queue.put(dataset)
    received = queue.get()
    assert list(received.items) == RECORDS and records._buffer.is_shared() and list(records) == RECORDS
    received.items._buffer[-1] = 0
    assert records._buffer[-1] == 0


def test_records_are_read_where_they_are_after_a_move_to_shared_memory():
    records = SharedRecords([{"a": index, "b": "x" * 1000} for index in range(200)])
    assert records[3]["a"] == 3
    before = records._buffer.data_ptr()
    records._buffer.share_memory_()
    records._ends.share_memory_()
    assert records._buffer.data_ptr() != before
    other = SharedRecords([{"c": index} for index in range(20000)])  # likely where the buffer was
    assert [record["a"] for record in records] == list(range(200)) and len(other) == 20000
