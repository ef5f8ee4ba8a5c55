"""Batches that are read together: the same as read one by one, with memory of their own."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from clocks import Clock

from h5lightning import H5Dataset
from h5lightning.errors import NonFiniteError
from h5lightning.loading.batch_groups import BatchGroupReader

pytestmark = pytest.mark.timeout(60)
BATCH = 7
OPTIONS = {
    "plain": {},
    "bfloat16": {"dtype": "bfloat16"},
    "sample ids": {"provenance": True},
    "transform": {"transform": lambda sample, info: {**sample, "id": info.id, "row": info.row}},
    "batch transform": {"batch_transform": lambda batch, info: {"x": batch["x"] * 2, "n": len(info.ids)}},
}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """By which groups are measured: reading takes no time."""
    clock = Clock()
    monkeypatch.setattr("h5lightning.loading.batch_groups.time", clock)
    return clock


@pytest.fixture
def dataset(write_files):
    made = []

    def make(**options) -> H5Dataset:
        made.append(H5Dataset(write_files(), ["x", "y"], **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def positions_of(dataset) -> list[np.ndarray]:
    order = np.random.default_rng(0).permutation(len(dataset))
    return np.split(order, [6 * BATCH, 20 * BATCH])


class Epoch:
    """An epoch of given samples, in stretches."""

    epoch = 0

    def __init__(self, stretches) -> None:
        self.stretches = list(stretches)
        self.rest = self.stretches[-1][len(self.stretches[-1]) // BATCH * BATCH :]
        self.stretches[-1] = self.stretches[-1][: len(self.stretches[-1]) - len(self.rest)]

    def full_batches(self):
        return iter(self.stretches)

    def tail(self):
        return iter([self.rest] if len(self.rest) else [])

    def repeats(self, start, stop):
        return None


def groups_of(dataset, stretches=None, **options) -> list[list]:
    reader = BatchGroupReader(dataset, BATCH, options.pop("deliver", lambda batch: batch), **options)
    return list(reader.pipeline(Epoch(positions_of(dataset) if stretches is None else stretches)))


def assert_equal(one, other) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("alone", [False, True], ids=["together", "alone"])
def test_batches_are_those_of_read_batch(dataset, options, alone) -> None:
    data = dataset(**options)
    groups = groups_of(data, alone=alone)
    assert (max(map(len, groups)) > 1) == (not alone)
    order = np.concatenate(positions_of(data))
    batches = [batch for group in groups for batch in group]
    assert len(batches) == -(-len(order) // BATCH)
    for number, batch in enumerate(batches):
        assert_equal(batch, data.read_batch(order[number * BATCH : (number + 1) * BATCH]))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_batch_owns_its_memory(dataset, options) -> None:
    batches = [batch for group in groups_of(dataset(**options)) for batch in group]
    tensors = [value for batch in batches for value in batch.values() if isinstance(value, torch.Tensor)]
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in tensors)
    assert len({tensor.data_ptr() for tensor in tensors}) == len(tensors)


def test_a_group_holds_no_more_than_twelve_mebibytes(tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros((600, 16_384), np.float32)
    data = H5Dataset(str(tmp_path / "a.h5"), ["x"])
    assert data.sample_bytes == 65_536
    # Seven samples take 448 KiB, 27 such batches 12 MiB.
    assert 1 < max(len(group) for group in groups_of(data, [np.arange(600)])) <= 16
    data.close()


def test_groups_go_on_over_the_ends_of_stretches(dataset) -> None:
    stretches = [np.arange(start, start + 3 * BATCH) for start in range(0, 90, 3 * BATCH)]
    lengths = [len(group) for group in groups_of(dataset(), stretches)]
    assert sum(lengths) == 3 * len(stretches)
    # A short one, where a stretch ends, would be followed by others that grow again.
    assert all(length & (length - 1) == 0 for length in lengths[:-1])
    assert max(lengths) > 1


def test_groups_grow_with_each_that_was_fast(dataset) -> None:
    lengths = [len(group) for group in groups_of(dataset(), [np.arange(15 * BATCH)])]
    # Nothing was cut ahead at a smaller size: in memory, nothing is prefetched.
    assert lengths == [1, 2, 4, 8]


def test_what_takes_long_is_not_kept_back(dataset, clock) -> None:
    def slow(batch):
        clock.sleep(0.006)
        return batch

    assert {len(group) for group in groups_of(dataset(), deliver=slow)} == {1}


def test_a_transform_that_fails_comes_after_the_batches_before_it(dataset) -> None:
    calls = []

    def fails(batch):
        calls.append(batch)
        if len(calls) == 6:
            raise LookupError("the sixth")
        return batch

    data, found = dataset(), []
    with pytest.raises(LookupError, match="the sixth"):
        found.extend(
            group for group in BatchGroupReader(data, BATCH, fails).pipeline(Epoch(positions_of(data)))
        )
    assert sum(map(len, found)) == 5


def test_rows_that_are_refused_come_after_the_batches_before_them(tmp_path) -> None:
    values = np.zeros((100, 3), np.float32)
    values[40] = np.nan
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = values
    data, found = H5Dataset(str(tmp_path / "a.h5"), ["x"], access={"on_nonfinite": "raise"}), []
    with pytest.raises(NonFiniteError, match="row 40"):
        found.extend(BatchGroupReader(data, BATCH, lambda batch: batch).pipeline(Epoch([np.arange(100)])))
    assert sum(map(len, found)) == 40 // BATCH
    data.close()
