"""The dataset alone, as plain torch code uses it: one by one, in lists, in parts and in batches."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, default_collate, random_split

from h5lightning import H5Dataset, Windows

LENGTHS = (4, 7, 2)
SIZE = sum(LENGTHS)


@pytest.fixture
def dataset(write_files):
    found = H5Dataset(write_files(LENGTHS), ["x", "y"], provenance=True)
    yield found
    found.close()


def ids_of(loader):
    return [int(number) for batch in loader for number in batch["sample_id"]]


def test_positions_count_from_both_ends(dataset):
    assert len(dataset) == SIZE
    assert [sample["sample_id"] for sample in dataset] == list(range(SIZE))
    assert [dataset[-position]["sample_id"] for position in (1, SIZE)] == [SIZE - 1, 0]
    assert [sample["sample_id"] for sample in dataset.__getitems__([3, -1, 3])] == [3, SIZE - 1, 3]


@pytest.mark.parametrize("position", [SIZE, -SIZE - 1])
def test_there_is_nothing_beyond_the_ends(dataset, position):
    with pytest.raises(IndexError):
        dataset[position]
    with pytest.raises(IndexError):
        list(dataset.__getitems__([0, position]))


@pytest.mark.parametrize("position", [1.0, "1", slice(2)], ids=lambda value: type(value).__name__)
def test_a_position_is_an_integer(dataset, position):
    with pytest.raises(TypeError):
        dataset[position]


@pytest.mark.parametrize("position", [2, np.int32(2), torch.tensor(2)], ids=["int", "numpy", "torch"])
def test_any_integer_is_a_position(dataset, position):
    assert dataset[position]["sample_id"] == 2


@pytest.mark.parametrize("samples", [None, Windows(2)], ids=["rows", "windows"])
def test_a_batch_of_nothing_has_the_shape_of_a_batch(write_files, samples):
    dataset = H5Dataset(write_files(LENGTHS), ["x", "y"], samples, provenance=True)
    batch, some = dataset.read_batch([]), dataset.read_batch([1])
    assert batch.keys() == some.keys()
    for key, tensor in batch.items():
        assert (tensor.shape, tensor.dtype) == ((0, *some[key].shape[1:]), some[key].dtype)
    dataset.close()


def test_plain_torch_tools_take_it(dataset):
    first, second = random_split(dataset, [10, SIZE - 10])
    assert sorted(ids_of(DataLoader(first, 4)) + ids_of(DataLoader(second, 4))) == list(range(SIZE))
    assert ids_of(DataLoader(Subset(dataset, [-1, 0, 5]), 2)) == [SIZE - 1, 0, 5]
    assert ids_of(DataLoader(ConcatDataset([dataset, dataset]), 5)) == [*range(SIZE)] * 2
    assert torch.equal(default_collate(dataset.__getitems__([5, 1]))["x"], dataset.read_batch([5, 1])["x"])


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_reads_the_same(dataset, again):
    before, other = dataset[6], again(dataset)
    after = other[6]
    other.close()
    assert all(np.array_equal(before[key], after[key]) for key in before)
