"""Copies of modules, datasets and readers: they share what never changes, and read by themselves."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import types

import numpy as np
import pytest
import torch
from lightning import Trainer

from h5lightning import H5DataModule, H5Dataset
from h5lightning.core.frozen import Frozen
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader

pytestmark = pytest.mark.timeout(60)

LENGTHS = (20, 30, 10)
GZIP = {"chunks": (8, 2, 3), "compression": "gzip"}
WAYS = [
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
    pytest.param(lambda one: pickle.loads(pickle.dumps(one)), id="pickle"),
]
READERS = ("auto", "direct", "h5py")


def double(sample):
    return {**sample, "y": sample["y"] * 2}


def expected(ids):
    """The first value of ``x`` of each sample."""
    files = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    rows = np.concatenate([np.arange(length) for length in LENGTHS])
    return (files * 10_000 + rows * 10)[ids].tolist()


def first_values(batch):
    return batch["x"][:, 0, 0].tolist()


def reachable(root):
    """All objects of ours, and locks, threads and tensors, that an object leads to; not what never changes."""
    found, left = {}, [root]
    while left:
        one = left.pop()
        if id(one) in found or isinstance(one, (Frozen, type, types.ModuleType, types.FunctionType)):
            continue
        found[id(one)] = one
        left += gc.get_referents(one)
    kinds = (threading.Thread, torch.Tensor, type(threading.Lock()), type(threading.RLock()), Trainer)
    return {
        key: one
        for key, one in found.items()
        if isinstance(one, kinds)
        or (type(one).__module__.startswith("h5lightning.") and hasattr(one, "__dict__") and vars(one))
    }


PLAIN = {"Access", "Shuffle", "Split", "Rows", "Transforms"}


def shared(one, other):
    """Names of the kinds of objects that can change and that both lead to."""
    first, second = reachable(one), reachable(other)
    return {type(first[key]).__name__ for key in first.keys() & second.keys()} - PLAIN


@pytest.mark.parametrize("again", WAYS)
@pytest.mark.parametrize("reader", READERS)
def test_a_copy_of_a_dataset_reads_by_itself(reader, again, write_files):
    pattern = write_files(LENGTHS, options=GZIP)
    first = H5Dataset(pattern, ["x", "y"], reader=reader, transform=double)
    ids = np.arange(60)[::-1].copy()
    assert first_values(first.read_batch(ids)) == expected(ids)
    second = again(first)
    assert shared(first, second) == set()
    # In another order, so that slots of one cache would be wrong in the other.
    assert first_values(second.read_batch(ids[::2])) == expected(ids[::2])
    first.close()
    assert first_values(second.read_batch(ids[::3])) == expected(ids[::3])
    assert first_values(first.read_batch(ids[::5])) == expected(ids[::5])
    second.set_epoch(7)
    assert (first.epoch, second.epoch) == (0, 7)
    first.close()
    second.close()


@pytest.mark.parametrize("again", WAYS)
@pytest.mark.parametrize("when", ["new", "set up", "in use"])
def test_a_copy_of_a_module_reads_by_itself(when, again, write_files):
    first = H5DataModule(
        write_files(LENGTHS, options=GZIP),
        ["x", "y"],
        batch_size=4,
        split={"val": None, "test": None},
        transform=double,
        provenance=True,
    )
    if when != "new":
        first.prepare_data()
        first.setup()
    batches = iter(first.train_dataloader()) if when == "in use" else None
    if batches is not None:
        next(batches)
    second = again(first)
    assert second.trainer is None
    assert shared(first, second) == set()
    for one in (second, first):
        one.prepare_data()
        one.setup()
    pairs = zip(first.train_dataloader(), second.train_dataloader(), strict=True)
    for one, other in pairs:
        assert torch.equal(one["sample_id"], other["sample_id"])
        assert first_values(one) == first_values(other) == expected(one["sample_id"].numpy())
    first.teardown()
    for batch in second.train_dataloader():
        assert first_values(batch) == expected(batch["sample_id"].numpy())
    second.teardown()


def test_a_copy_has_no_trainer(write_files):
    module = H5DataModule(write_files(LENGTHS), ["x"])
    module.trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", barebones=True)
    for again in (copy.copy, copy.deepcopy):
        assert again(module).trainer is None
    assert module.trainer is not None


@pytest.mark.parametrize("again", WAYS[:2])
def test_a_copy_shares_what_never_changes(again, write_files):
    first = H5DataModule(write_files(LENGTHS), ["x"], split={"val": None, "test": None})
    first.prepare_data()
    first.setup()
    second = again(first)
    assert second._data is not first._data
    assert second._data.survey is first._data.survey
    assert second._data.plan is first._data.plan
    assert second.train_dataset.index is first.train_dataset.index
    assert second.train_dataset._batches.reader is second._data.reader


def test_the_stages_of_a_copy_share_its_reader(write_files):
    first = H5DataModule(write_files((20,) * 10), ["x"], split={"val": 0.3, "test": 0.3})
    first.prepare_data()
    first.setup()
    for again in (copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
        second = again(first)
        assert second.train_dataset._batches is second.val_dataset._batches
        assert second.test_dataset._batches.reader is second._data.reader is not first._data.reader


@pytest.mark.parametrize("again", WAYS)
@pytest.mark.parametrize("name", READERS)
def test_a_copy_of_a_reader_has_a_pool_of_its_own(name, again):
    with HandlePool(Access(max_open_files=3), processes=2) as pool:
        reader = make_reader(name, pool, threads=2)
        other = again(reader)
        assert shared(reader, other) == set()
        if name == "auto":
            assert other._libhdf5._pool is other._direct._pool
            assert other._libhdf5._decoded is other._direct._decoded
            other = other._direct
        assert (other._pool.budget, other._pool.processes) == (3, 2)
        assert other._decoded.pool().threads == 2
        other._pool.close()


def test_the_search_for_shared_objects_can_fail(write_files):
    first = H5Dataset(write_files(LENGTHS), ["x"])
    second = copy.copy(first)
    second._batches = first._batches
    assert {"SampleDataset", "H5Dataset", "DirectReader"} & shared(first, second)
