"""Block order: each sample once, each chunk decoded about once, mixed nearly as well as by a full shuffle."""

import pickle
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from block_layouts import (
    LAYOUTS,
    block_order,
    chunks_of,
    decoded_ratio,
    everything,
    label_entropy,
    windows_of,
)

from h5lightning.options import Windows
from h5lightning.planning.sampling import BlockOrder, Blocks, FullOrder

SEED = 3
KIB, MIB = 2**10, 2**20


def order_of(counts, lengths, window_samples, seed=SEED):
    counts, lengths = np.array(counts), np.array(lengths)
    ends = np.cumsum(counts * lengths)
    return BlockOrder(Blocks.of(ends - counts * lengths, counts, lengths), window_samples, seed)


ORDERS = {
    "equal blocks": order_of([1000], [32], 2000),
    "edge blocks": order_of([10, 1] * 20, [32, 7] * 20, 1000),
    "all lengths": order_of([3] * 40, range(1, 41), 300),
    "one window": order_of([14, 1], [7, 2], 10_000),
    "one sample in each block": order_of([100], [1], 10),
    "blocks larger than the window": order_of([1, 1, 1], [50, 10, 40], 5),
    "one block": order_of([1], [30], 10),
    "one sample": order_of([1], [1], 1),
}
each_order = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


def whole(order, epoch=0):
    return order.samples(epoch, np.arange(order.size))


@each_order
@pytest.mark.parametrize("epoch", [0, 1, 10**6], ids=str)
def test_is_a_bijection(order, epoch):
    assert np.array_equal(np.sort(whole(order, epoch)), np.arange(order.size))


@each_order
def test_does_not_depend_on_how_it_is_called(order):
    expected = whole(order, 2)
    whole(order, 1)
    for piece in (1, 7, 64):
        some = range(0, min(order.size, 500), piece)
        parts = [order.samples(2, np.arange(start, min(start + piece, order.size))) for start in some]
        found = np.concatenate(parts)
        assert np.array_equal(found, expected[: len(found)])
    backward = np.arange(order.size)[::-1]
    assert np.array_equal(order.samples(2, backward), expected[::-1])
    assert order.samples(2, backward[:0]).tolist() == []


@pytest.mark.parametrize("name", [name for name, order in ORDERS.items() if order.size > 1])
def test_differs_from_epoch_to_epoch(name):
    epochs = [whole(ORDERS[name], epoch).tolist() for epoch in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_differs_from_seed_to_seed():
    one, other = (order_of([100], [32], 500, seed) for seed in (1, 2))
    assert not np.array_equal(whole(one), whole(other))


@each_order
def test_survives_a_pickle(order):
    assert np.array_equal(whole(pickle.loads(pickle.dumps(order))), whole(order))


def test_the_windows_of_an_epoch_are_kept():
    order = order_of([100], [32], 500)
    first = order._windows(0)
    assert order._windows(0) is first
    order._windows(1)
    assert order._windows(0) is not first


# Resuming an old run needs these values: they never change.
@pytest.mark.parametrize(
    ("order", "epoch", "positions", "expected"),
    [
        (order_of([3, 1], [4, 3], 8), 0, range(15), [14, 5, 12, 6, 7, 4, 13, 1, 8, 3, 10, 2, 11, 9, 0]),
        (order_of([3, 1], [4, 3], 8), 1, range(15), [1, 11, 3, 8, 0, 2, 10, 9, 5, 6, 7, 4, 13, 12, 14]),
        (
            order_of([300, 2], [32, 5], 1000),
            0,
            [0, 1, 32, 4000, 9600, 9609],
            [3923, 7254, 3917, 6669, 4297, 359],
        ),
        (
            order_of([3125, 1] * 10_000, [32, 7] * 10_000, 65_536),
            7,
            [0, 1, 10**6, 10**9 + 1],
            [593150271, 544924991, 282376681, 419641335],
        ),
    ],
    ids=["epoch 0", "epoch 1", "two lengths", "a billion samples"],
)
def test_orders_stay_what_they_are(order, epoch, positions, expected):
    assert order.samples(epoch, np.asarray(positions)).tolist() == expected


@pytest.mark.parametrize(
    ("blocks", "length", "window", "lanes"),
    [
        (10_000, 32, 2048 * 32, 32),
        (10_000, 32, 20 * 32, 16),
        (10_000, 32, 1, 1),
        (33, 32, 10**6, 8),
        (3, 32, 10**6, 1),
    ],
    ids=["32 at most", "one block each", "a tiny window", "four blocks each", "few blocks"],
)
def test_there_are_as_many_lanes_as_blocks_allow(blocks, length, window, lanes):
    assert order_of([blocks], [length], window).lanes == lanes


def test_neighbours_come_from_different_lanes():
    order = order_of([1000], [32], 2000)
    lanes = order.lanes_of(np.arange(order.size - 32 * 32))
    assert np.array_equal(np.sort(lanes.reshape(-1, 32)), np.tile(np.arange(32), (len(lanes) // 32, 1)))


# ── what it costs ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 5, 7, 8], ids="{} ranks".format)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_ranks_decode_nearly_disjoint_chunks(layout, world_size):
    ratio = decoded_ratio(*layout, world_size)
    lanes = block_order(*layout).lanes
    shared = 0 if lanes % world_size == 0 else world_size - 1  # lanes that two ranks share
    assert ratio <= 1.04 + shared / lanes
    assert world_size > 1 or ratio == 1


def test_about_a_window_is_in_use_at_a_time():
    rows, chunk_rows, window_rows = LAYOUTS["two windows"]
    index, selection = everything(rows)
    order = block_order(rows, chunk_rows, window_rows)
    chunks = chunks_of(index, selection(whole(order)), chunk_rows)
    _, first, length = np.unique(chunks, return_index=True, return_counts=True)
    last = len(chunks) - 1 - np.unique(chunks[::-1], return_index=True)[1]
    steps = np.bincount(first, length, len(chunks) + 1) - np.bincount(last + 1, length, len(chunks) + 1)
    assert np.cumsum(steps).max() <= 1.2 * window_rows


def test_windows_of_rows_decode_few_chunks_twice():
    samples = Windows(9)
    index, selection = everything([10_000] * 20, samples)
    order = block_order([10_000] * 20, 32, 65_536, samples)
    windows = windows_of(order, np.arange(order.size))
    ids = selection(whole(order))
    chunks = chunks_of(index, ids, 32)
    crosses = index.locate(ids).row % 32 + 8 >= 32
    pairs = np.concatenate([np.stack([chunks + step, windows]) for step in (0 * crosses, crosses)], axis=1)
    ratio = np.unique(pairs, axis=1).shape[1] * 32 / index.series_rows.sum()
    assert ratio <= 1.05


# ── how well it mixes ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rows", "chunk_rows", "window_rows"),
    [
        (4000, 32, 256 * MIB // (4 * KIB)),
        (20_000, 32, 256 * MIB // (4 * KIB)),
        (512, 32, 256 * MIB // (4 * KIB)),
        (16_000, 32, 240 * 32),
        (20_000, 250, 256 * MIB // (4 * KIB)),
    ],
    ids=["default", "default, larger files", "default, small files", "240 chunks", "262 large chunks"],
)
def test_batches_hold_all_labels_though_files_are_sorted(rows, chunk_rows, window_rows):
    labels = np.tile(np.arange(rows) * 10 // rows, 20)
    order = block_order([rows] * 20, chunk_rows, window_rows)
    share = label_entropy(labels[whole(order)]) / label_entropy(labels[whole(FullOrder(order.size, SEED))])
    assert share >= 0.985


def test_the_entropy_test_can_fail():
    labels = np.tile(np.arange(4000) * 10 // 4000, 20)
    order = block_order([4000] * 20, 32, 16 * 32)
    assert label_entropy(labels[whole(order)]) < 0.9 * np.log2(10)


@pytest.mark.parametrize("part", [0, -1], ids=["first batches", "last batches"])
def test_an_epoch_begins_and_ends_well_mixed(part):
    labels = np.tile(np.arange(4000) * 10 // 4000, 20)
    order = block_order([4000] * 20, 32, 65_536)
    parts = np.split(labels[whole(order)][-256 * 310 :], 31)
    assert label_entropy(parts[part]) >= 0.97 * np.log2(10)


def test_each_batch_holds_samples_of_all_files():
    order = block_order([16_000] * 20, 32, 240 * 32)
    files = whole(order)[: 256 * 1000].reshape(-1, 256) // 16_000
    assert np.mean([len(np.unique(batch)) for batch in files]) > 19


# ── what it takes ────────────────────────────────────────────────────────────────────────────────────

QUICK_START = """
    import resource, sys, time
    from pathlib import Path
    import numpy as np
    from h5lightning.planning.index import SampleIndex, SampleRanges
    from h5lightning.options import Rows, Shuffle
    from h5lightning.planning.sampling import RowLayout, make_order
    from h5lightning.planning.selection import Selection
    from h5lightning.core.string_table import StringTable

    files = 10_000
    rows = np.random.default_rng(0).integers(95_000, 105_001, files)
    chunk_rows = np.random.default_rng(1).integers(16, 64, files)
    names = StringTable.of(f"{number}.h5" for number in range(files))
    before_s = time.process_time()
    index = SampleIndex("/data", names, np.arange(files), rows, Rows())
    selection = Selection(SampleRanges(np.array([0]), np.array([len(index)])))
    order = make_order(Shuffle(sys.argv[1]), selection, index, RowLayout(chunk_rows, 4096), seed=1)
    ids = selection(order.samples(3, np.arange(256)))
    processor_s = time.process_time() - before_s
    status = Path("/proc/self/status")
    if status.exists():  # Linux passes ru_maxrss on from the process that started this one
        peak_mib = int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    else:
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(len(np.unique(ids)), order.size, processor_s, peak_mib)
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("mode", ["block", "full"])
def test_a_billion_samples_start_at_once_and_in_little_memory(mode):
    command = [sys.executable, "-c", textwrap.dedent(QUICK_START), mode]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    different, size, processor_s, peak_mib = map(float, done.stdout.split())
    assert different == 256
    assert size > 9.9e8
    assert processor_s < 1
    assert peak_mib < 200


def test_a_stretch_of_an_epoch_is_cheap():
    order = order_of([3125, 1] * 10_000, [32, 7] * 10_000, 65_536)
    stretches = np.arange(20 * 16_384).reshape(20, -1)
    order.samples(0, stretches[0])
    processor_s = []
    for positions in stretches[1:]:
        before_s = time.thread_time()
        order.samples(0, positions)
        processor_s.append(time.thread_time() - before_s)
    # 0.2 µs; the least of them, since others that use the memory make it slower.
    assert min(processor_s) / 16_384 < 1e-6
