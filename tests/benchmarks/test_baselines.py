"""Whatever is compared delivers the same thing: all samples of the data set once, with their values."""

from functools import partial

import numpy as np
import pytest
from loading import by_hand, ours
from loading.data import Workload, filters_here, write
from loading.limits import DecodeAndGather, GatherFromMemory, ReadInOrder, ready_tensors
from loading.measure import read_bytes

CONTIGUOUS = Workload("contiguous", rows=1200, row_bytes=64, files=3)
CHUNKED = Workload("gzip", rows=1920, row_bytes=64, files=3, chunk_rows=32, filters="gzip+shuffle")
ROW_CHUNKS = Workload("rows", rows=900, row_bytes=256, files=3, chunk_rows=1)
WORKLOADS = [CONTIGUOUS, CHUNKED, ROW_CHUNKS]


@pytest.fixture(params=WORKLOADS, ids=lambda workload: workload.name)
def dataset(request, tmp_path):
    return write(request.param, tmp_path / "data")


def delivered(batches):
    """Data (rows, columns) and labels (rows,), copied before a buffer is used again."""
    copies = [(np.asarray(batch.data).copy(), np.asarray(batch.labels).copy()) for batch in batches]
    return tuple(np.concatenate(parts) for parts in zip(*copies, strict=True))


def check(dataset, batches, *, is_shuffled):
    data, labels = delivered(batches)
    expected, ids = dataset.in_memory()
    assert np.array_equal(np.sort(labels), ids)
    assert np.array_equal(data, expected[labels])
    assert np.array_equal(labels, ids) != is_shuffled


def test_data_say_who_they_are(dataset):
    data, labels = dataset.in_memory()
    assert np.array_equal(labels, np.arange(dataset.workload.rows))
    assert np.array_equal(data[:, 0], labels)
    assert len(np.unique(data[:, 1])) > dataset.workload.rows / 2


@pytest.mark.parametrize(
    "baseline",
    [
        by_hand.opened_per_item,
        by_hand.kept_open,
        partial(by_hand.kept_open, cache_bytes=0),
        by_hand.chunk_at_a_time,
    ],
    ids=["opened-per-item", "kept-open", "kept-open-without-cache", "chunk-at-a-time"],
)
def test_h5py(dataset, baseline):
    check(dataset, baseline(dataset, 0), is_shuffled=True)


def test_read_in_order(tmp_path):
    for workload in (CONTIGUOUS, ROW_CHUNKS):
        dataset = write(workload, tmp_path / workload.name)
        read = ReadInOrder(dataset)
        check(dataset, read(0), is_shuffled=False)
        before = read_bytes()
        delivered(read(1))
        # What the process reads beside, of /proc, is a few hundred bytes.
        assert read_bytes() - before == pytest.approx(workload.rows * dataset.sample_bytes, rel=0.02)


def test_gather(dataset):
    check(dataset, GatherFromMemory(dataset)(0), is_shuffled=True)


@pytest.mark.parametrize("window_bytes", [4096, 1 << 20], ids=["small-window", "one-window"])
@pytest.mark.parametrize("gathers", [True, False], ids=["gather", "decode-only"])
def test_decode(tmp_path, gathers, window_bytes):
    dataset = write(CHUNKED, tmp_path / "data")
    decode = DecodeAndGather(dataset, threads=2, window_bytes=window_bytes, gathers=gathers)
    check(dataset, decode(0), is_shuffled=gathers)


@pytest.mark.parametrize("filters", [name for name in filters_here() if name != "none"])
def test_decode_of_each_filter(tmp_path, filters):
    workload = Workload(filters, rows=128, row_bytes=256, files=2, chunk_rows=32, filters=filters)
    dataset = write(workload, tmp_path / "data")
    check(dataset, DecodeAndGather(dataset, threads=1)(0), is_shuffled=True)


@pytest.mark.parametrize("world_size", [1, 2], ids=lambda size: f"{size}-ranks")
def test_ours(dataset, world_size):
    with ours.data_module(dataset) as dm:
        shares = [delivered(ours.batches(dm, 0, rank, world_size)) for rank in range(world_size)]
    data, labels = (np.concatenate(parts) for parts in zip(*shares, strict=True))
    assert all(len(share[1]) == dataset.workload.rows // world_size for share in shares)
    assert np.array_equal(np.sort(labels), np.arange(dataset.workload.rows))
    assert np.array_equal(data, dataset.in_memory()[0][labels])


@pytest.mark.timeout(60)
def test_ready_tensors(tmp_path):
    dataset = write(CONTIGUOUS, tmp_path / "data")
    data, labels = delivered(ready_tensors(dataset, workers=2))
    assert data.shape == (1200, 16)
    assert np.array_equal(np.sort(labels), np.arange(1200))


def test_epochs_differ(dataset):
    with ours.data_module(dataset) as dm:
        for baseline in (partial(by_hand.chunk_at_a_time, dataset), partial(ours.batches, dm)):
            first, second = (delivered(baseline(epoch))[1] for epoch in (0, 1))
            assert not np.array_equal(first, second)
