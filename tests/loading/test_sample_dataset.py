"""The dataset alone, as plain torch code uses it: one by one, in lists, in parts and in batches."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, default_collate, random_split

from h5lightning import H5Dataset, Windows
from h5lightning.errors import OptionError

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


@pytest.mark.parametrize("position", [SIZE, -SIZE - 1, 2**63, -(2**70)])
def test_there_is_nothing_beyond_the_ends(dataset, position):
    with pytest.raises(IndexError):
        dataset[position]
    with pytest.raises(IndexError):
        dataset.__getitems__([0, position])


@pytest.mark.parametrize("position", [1.0, "1", True, np.True_, torch.tensor(True), None, slice(2)], ids=repr)
def test_a_position_is_an_integer(dataset, position):
    with pytest.raises(TypeError, match="position"):
        dataset[position]


NO_NUMBERS = [
    np.arange(SIZE) > 9,
    [True] * SIZE,
    [0.9, 1.99],
    torch.tensor([1.0]),
    ["1"],
    "3",
    None,
    3,
    [[0, 1]],
]
ASKED = ["read_batch", "read_ids", "sample_ids", "__getitems__"]


@pytest.mark.parametrize("given", NO_NUMBERS, ids=lambda given: " ".join(repr(given).split())[:20])
@pytest.mark.parametrize("method", ASKED)
def test_what_is_no_list_of_numbers_is_refused(dataset, method, given):
    with pytest.raises(TypeError, match="must be whole numbers"):
        getattr(dataset, method)(given)


@pytest.mark.parametrize("method", ["read_batch", "read_ids", "sample_ids"])
@pytest.mark.parametrize("numbers", [[SIZE], [0, -1], [2**63]], ids=str)
def test_there_is_no_number_outside(dataset, method, numbers):
    with pytest.raises(IndexError):
        getattr(dataset, method)(numbers)


@pytest.mark.parametrize("method", ["read_batch", "read_ids", "sample_ids", "__getitems__"])
@pytest.mark.parametrize(
    "kind",
    [list, tuple, np.array, torch.tensor, lambda numbers: np.array(numbers, "u8"), lambda _: range(2, 5)],
)
def test_all_kinds_of_whole_numbers_mean_the_same(dataset, method, kind):
    found = getattr(dataset, method)(kind([2, 3, 4]))
    if method == "sample_ids":
        assert found.tolist() == [2, 3, 4]
    else:
        ids = found["sample_id"].tolist() if isinstance(found, dict) else [one["sample_id"] for one in found]
        assert ids == [2, 3, 4]


def test_the_old_name_of_positions_still_works(dataset):
    with pytest.warns(DeprecationWarning, match="read_batch\\(positions\\).*read_ids") as caught:
        batch = dataset.read_batch(ids=[3, 1])
    assert caught[0].filename == __file__
    assert batch["sample_id"].tolist() == dataset.read_batch([3, 1])["sample_id"].tolist() == [3, 1]
    assert dataset.read_batch(positions=[1], keys=["y"]).keys() == {"y"}
    with pytest.raises(TypeError, match="give one of them"):
        dataset.read_batch([1], ids=[1])
    with pytest.raises(TypeError, match="found None"):
        dataset.read_batch()


def test_keys_are_a_list(dataset):
    with pytest.raises(TypeError, match="keys must list fields"):
        dataset.read_batch([1], "xy")


@pytest.mark.parametrize("epoch", ["1", 1.5, True, None], ids=repr)
def test_an_epoch_is_a_number(dataset, epoch):
    with pytest.raises(TypeError, match="the epoch must be a whole number"):
        dataset.set_epoch(epoch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": "1"}, "seed must be an integer"),
        ({"seed": True}, "seed must be an integer"),
        ({"seed": 2**63}, "seed must be an integer of at most"),
        ({"provenance": "False"}, "provenance must be true or false, found 'False'"),
        ({"index_dir": 3}, "index_dir must be text"),
        ({"reader": 1}, "reader must be one of"),
        ({"dtype": "int8"}, "dtype is for floating fields"),
        ({"dtype": np.zeros(2)}, "dtype is for floating fields"),
        ({"access": {"max_bad_fraction": None}}, r"max_bad_fraction must be a fraction in \[0, 1\]"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_wrong_options_are_refused(write_files, options, message):
    with pytest.raises(OptionError, match=message):
        H5Dataset(write_files(LENGTHS), ["x"], **options)


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


def test_each_transform_is_told_where_its_sample_comes_from(write_files):
    told = {}

    def tell(sample, info):
        told[info.id] = (info, sample["y"].item())
        return sample

    dataset = H5Dataset(write_files(LENGTHS), ["x", "y"], transform=tell, provenance=True, seed=3)
    dataset.set_epoch(2)
    ids = [9, 0, 12, 4, 11, 3]
    batch = dataset.read_batch(ids)
    assert [told[number][1] for number in ids] == batch["y"].tolist()
    where = dataset.index.locate(ids)
    for number, file, row in zip(ids, where.file.tolist(), where.row.tolist(), strict=True):
        info = told[number][0]
        assert (info.path, info.row, info.series) == (dataset.index.path(file), row, "")
        assert (info.stage, info.epoch, info.seed) == ("train", 2, 3)
    assert [sample["sample_id"] for sample in dataset.__getitems__(ids)] == ids
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
