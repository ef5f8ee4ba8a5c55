"""Workers of one loader decode each chunk once, deliver what one process delivers, and leave nothing behind."""

from __future__ import annotations

import os
import sys
from itertools import zip_longest

import h5py
import numpy as np
import pytest
import torch
from shared_chunk_jobs import decoded, limit_files, with_decoded

from h5lightning import H5DataModule

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files in memory"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork"),
]

FILES, ROWS, CHUNK, WIDTH = 6, 256, 8, 64
CHUNK_ROWS = 2 * FILES * ROWS // CHUNK  # of two datasets
CHUNK_BYTES = CHUNK * WIDTH * 4
METHODS = [("fork", 2), ("fork", 4), ("spawn", 2), ("forkserver", 4)]


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for number in range(FILES):
        values = np.random.default_rng(number).integers(0, 99, (ROWS, WIDTH)).astype("f4")
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=values, chunks=(CHUNK, WIDTH), compression="gzip")
            file.create_dataset("z", data=-values[:, :9], chunks=(CHUNK, 5), compression="gzip", shuffle=True)
    return str(folder / "*.h5")


@pytest.fixture
def make(pattern, ready):
    def make(workers=0, **options):
        usual = {
            "split": {"val": None, "test": None},
            "batch_size": 12,
            "batch_transform": with_decoded,
            "shuffle": {"window_bytes": 24 * CHUNK_BYTES},
            "access": {"cache_bytes": 48 * CHUNK_BYTES},
        }
        return ready(H5DataModule(pattern, ["x", "z"], num_workers=workers, **(usual | options)))

    return make


def assert_same(batches, expected):
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        assert all(torch.equal(batch[key], other[key]) for key in ("x", "z"))


@pytest.mark.parametrize(("method", "workers"), METHODS)
def test_each_chunk_is_decoded_once_and_the_batches_are_those_of_one_process(method, workers, make):
    expected = list(make().train_dataloader())
    batches = list(make(workers, multiprocessing_context=method).train_dataloader())
    assert_same(batches, expected)
    found = decoded(batches)
    assert len(found) == workers
    assert CHUNK_ROWS <= sum(found.values()) <= 1.5 * CHUNK_ROWS


@pytest.mark.parametrize("reader", ["direct", "h5py"])
def test_each_reader_shares(reader, make):
    options = {"reader": reader, "access": {"cache_bytes": 500 * CHUNK_BYTES}}
    expected = list(make(**options).train_dataloader())
    batches = list(make(4, **options).train_dataloader())
    assert_same(batches, expected)
    assert sum(decoded(batches).values()) == CHUNK_ROWS


@pytest.mark.parametrize("mode", ["block", "full"])
@pytest.mark.parametrize("chunk_rows", [0, 1, 9])
def test_a_cache_that_holds_few_chunks_changes_no_batch(chunk_rows, mode, make):
    options = {"access": {"cache_bytes": chunk_rows * CHUNK_BYTES}, "shuffle": {"mode": mode}}
    assert_same(list(make(4, **options).train_dataloader()), list(make(**options).train_dataloader()))


def test_persistent_workers_keep_what_they_share(make):
    dm = make(2, persistent_workers=True, access={"cache_bytes": 500 * CHUNK_BYTES})
    loader = dm.train_dataloader()
    epochs = [list(loader) for _ in range(3)]
    assert sum(decoded(epochs[-1]).values()) == CHUNK_ROWS


def test_two_loaders_at_once_share_nothing_with_each_other(make):
    dm = make(2, split={"train": 0.5, "val": 0.5, "test": None})
    train, val = dm.train_dataloader(), dm.val_dataloader()
    expected = list(make(split={"train": 0.5, "val": 0.5, "test": None}).train_dataloader())
    both = list(zip_longest(train, val))
    found = [batch for batch, _ in both if batch is not None]
    assert_same(found, expected)
    assert sum(decoded(found).values()) <= 1.5 * CHUNK_ROWS
    assert not set(decoded(found)) & set(decoded(batch for _, batch in both if batch is not None))


def test_a_resumed_epoch_goes_on_with_other_workers(make):
    one = make().train_dataloader()
    begun = iter(one)
    for _ in range(5):
        next(begun)
    state = one.state_dict()
    rest = list(begun)
    other = make(4).train_dataloader()
    other.load_state_dict(state)
    assert_same(list(other), rest)


def test_nothing_is_left_behind(make):
    def files():
        links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
        return sorted(os.readlink(link) for link in links if os.path.islink(link))

    loader = make(4).train_dataloader()
    running = iter(loader)
    next(running)
    # This process keeps nothing of what its workers share, so that it is gone with the last of them.
    assert not any("h5lightning" in name for name in files())
    with open("/proc/self/maps", encoding="ascii") as maps:
        assert "h5lightning" not in maps.read()
    list(running)


def test_workers_that_may_make_no_large_file_decode_for_themselves(make):
    loader = make(2, access={"cache_bytes": 2**30}).train_dataloader()
    loader.worker_init_fn = limit_files
    batches = list(loader)
    assert_same(batches, list(make(access={"cache_bytes": 2**30}).train_dataloader()))
    assert CHUNK_ROWS < sum(decoded(batches).values()) <= 2 * CHUNK_ROWS


def test_a_system_without_files_in_memory(make, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    batches = list(make(2).train_dataloader())
    assert_same(batches, list(make().train_dataloader()))
    assert sum(decoded(batches).values()) > 1.5 * CHUNK_ROWS
