"""Orders of an epoch: bijective, different each epoch, the same however they are asked for."""

import itertools
import pickle

import numpy as np
import pytest

from h5lightning.index import SampleIndex, SampleRanges
from h5lightning.options import Rows, Shuffle, Whole, Windows
from h5lightning.ordering import BlockOrder, FullOrder, PathOrder, RowLayout, block_starts, make_order
from h5lightning.selection import Selection
from h5lightning.text_table import TextTable

SEED = 3
STARTS = np.array([0, 4, 8, 10, 13, 17, 20])
ORDERS = {
    "full": FullOrder(1000, SEED),
    "block": BlockOrder(np.append(np.arange(0, 1000, 32), 1000), 200, SEED),
    "block of one window": BlockOrder(np.append(np.arange(0, 100, 7), 100), 10_000, SEED),
    "block of one sample": BlockOrder(np.arange(101), 10, SEED),
    "block larger than its window": BlockOrder(np.array([0, 50, 60, 100]), 5, SEED),
    "one block": BlockOrder(np.array([0, 30]), 10, SEED),
    "one sample": BlockOrder(np.array([0, 1]), 1, SEED),
    "empty blocks": BlockOrder(np.array([0, 0, 20, 20, 40, 40]), 10, SEED),
}
each_order = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


def whole(order, epoch=0):
    return order.samples(epoch, np.arange(order.size))


# ── every order ──────────────────────────────────────────────────────────────────────────────────────


@each_order
@pytest.mark.parametrize("epoch", [0, 1, 10**6], ids=str)
def test_is_a_bijection(order, epoch):
    assert np.array_equal(np.sort(whole(order, epoch)), np.arange(order.size))


@each_order
def test_does_not_depend_on_how_it_is_asked_for(order):
    expected = whole(order, 2)
    whole(order, 1)
    for piece in (1, 7, 64):
        parts = [
            order.samples(2, np.arange(start, min(start + piece, order.size)))
            for start in range(0, order.size, piece)
        ]
        assert np.array_equal(np.concatenate(parts), expected)
    backward = np.arange(order.size)[::-1]
    assert np.array_equal(order.samples(2, backward), expected[::-1])
    assert order.samples(2, backward[:0]).tolist() == []


@pytest.mark.parametrize("name", [name for name, order in ORDERS.items() if order.size > 1])
def test_differs_from_epoch_to_epoch(name):
    epochs = [whole(ORDERS[name], epoch).tolist() for epoch in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_differs_from_seed_to_seed():
    blocks = ORDERS["block"]
    assert not np.array_equal(whole(FullOrder(1000, 1)), whole(FullOrder(1000, 2)))
    assert not np.array_equal(whole(blocks), whole(BlockOrder(blocks.starts, 200, SEED + 1)))


@each_order
def test_survives_a_pickle(order):
    assert np.array_equal(whole(pickle.loads(pickle.dumps(order))), whole(order))


def test_path_order_is_the_same_in_each_epoch():
    order = PathOrder(5)
    assert (order.size, whole(order, 0).tolist(), whole(order, 7).tolist()) == (5, [*range(5)], [*range(5)])


# Resuming an old run needs these values: they never change.
@pytest.mark.parametrize(
    ("order", "epoch", "expected"),
    [
        (FullOrder(10, SEED), 0, [8, 0, 3, 6, 5, 7, 4, 1, 2, 9]),
        (FullOrder(10, SEED), 1, [4, 8, 9, 6, 0, 5, 1, 3, 7, 2]),
        (
            BlockOrder(STARTS, 8, SEED),
            0,
            [11, 10, 16, 3, 15, 14, 12, 1, 2, 0, 13, 18, 19, 8, 17, 9, 6, 5, 4, 7],
        ),
        (
            BlockOrder(STARTS, 8, SEED),
            1,
            [19, 17, 5, 7, 18, 10, 12, 4, 6, 11, 1, 2, 3, 9, 0, 8, 14, 15, 16, 13],
        ),
    ],
    ids=["full, epoch 0", "full, epoch 1", "block, epoch 0", "block, epoch 1"],
)
def test_orders_stay_what_they_are(order, epoch, expected):
    assert whole(order, epoch).tolist() == expected


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────────


def spread(order, starts):
    """How far apart, in positions of the epoch, the samples of each block lie."""
    position = np.argsort(whole(order))
    return [int(np.ptp(position[low:high])) for low, high in itertools.pairwise(starts)]


def test_a_block_stays_in_one_window():
    order = ORDERS["block"]
    assert max(spread(order, order.starts)) < order.window_samples + 32
    assert max(spread(FullOrder(order.size, SEED), order.starts)) > order.window_samples + 32


def test_windows_are_as_long_as_asked_for_and_hold_whole_blocks():
    blocks, ends, windows = ORDERS["block"]._epoch(0)
    assert sorted(blocks) == list(range(32))
    assert set(windows) <= {0, *ends}
    assert np.abs(np.diff(windows)[:-1] - 200).max() < 32


def test_the_order_inside_a_window_is_mixed():
    order = ORDERS["block of one window"]
    assert np.mean(spread(order, order.starts)) > 50  # 75 for a full shuffle of blocks of 7 among 100


def test_the_plan_of_an_epoch_is_made_once():
    order = BlockOrder(STARTS, 8, SEED)
    first = order._epoch(0)
    assert order._epoch(0) is first
    order._epoch(1)
    assert order._epoch(0) is not first


# ── where blocks begin ───────────────────────────────────────────────────────────────────────────────

SERIES_FILE = np.array([0, 1, 1, 2, 3, 4])
SERIES_ROWS = np.array([20, 0, 33, 7, 0, 64])
CHUNK_ROWS = np.array([8, 5, 1, 4, 100])
KINDS = {
    "rows": Rows(),
    "windows": Windows(4),
    "stride divides chunks": Windows(3, stride=4),
    "stride does not divide chunks": Windows(5, stride=3),
    "stride over chunks": Windows(2, stride=9),
    "whole": Whole(),
}
# Series, first row, one past the last row.
SEGMENTS = {
    "everything": [(0, 0, 20), (1, 0, 0), (2, 0, 33), (3, 0, 7), (4, 0, 0), (5, 0, 64)],
    "some series": [(0, 0, 20), (3, 0, 7)],
    "cut inside chunks": [(0, 3, 15), (2, 12, 33), (5, 1, 63)],
    "gaps": [(2, 0, 7), (2, 9, 20), (2, 20, 33), (5, 10, 30), (5, 31, 60)],
    "too short for a window": [(0, 18, 20), (2, 1, 2), (3, 0, 7), (5, 62, 64)],
    "nothing": [],
}


def make_index(samples):
    names = TextTable.of(f"{file}.h5" for file in range(5))
    return SampleIndex("/data", names, SERIES_FILE, SERIES_ROWS, samples)


def select(index, segments):
    columns = np.array(segments, dtype=np.int64).reshape(-1, 3).T
    return Selection(index.ranges_within(*columns))


def starts_one_by_one(selection, index):
    """Position by position: a block begins where the series or the chunk changes, or ids are left out."""
    starts, before = [], None
    for position, number in enumerate(selection(np.arange(len(selection))).tolist()):
        where = index.locate([number])
        chunk = int(where.row[0]) // int(CHUNK_ROWS[where.file[0]])
        here = (int(where.series[0]), chunk, number)
        if before is None or here[:2] != before[:2] or number != before[2] + 1:
            starts.append(position)
        before = here
    return [*starts, len(selection)]


@pytest.mark.parametrize("segments", SEGMENTS.values(), ids=SEGMENTS)
@pytest.mark.parametrize("samples", KINDS.values(), ids=KINDS)
def test_blocks_begin_where_chunks_do(samples, segments):
    index = make_index(samples)
    selection = select(index, segments)
    assert block_starts(selection, index, CHUNK_ROWS).tolist() == starts_one_by_one(selection, index)


def test_the_brute_force_finds_many_blocks():
    index = make_index(Rows())
    assert starts_one_by_one(select(index, SEGMENTS["cut inside chunks"]), index) == [
        *(0, 5),  # rows 3–14 of chunks of 8
        *(12, 15, 20, 25, 30),  # rows 12–32 of chunks of 5
        *(33, 95),  # rows 1–62 of one chunk
    ]


# ── which order ──────────────────────────────────────────────────────────────────────────────────────

BY_ROW = RowLayout(np.ones(5, dtype=np.int64), row_bytes=100)
BY_CHUNK = RowLayout(CHUNK_ROWS, row_bytes=100)
DRAWN = Selection(SampleRanges(np.array([0]), np.array([124])), permutation_key=1)


@pytest.mark.parametrize(
    ("mode", "layout", "drawn", "kind"),
    [
        ("none", BY_CHUNK, False, PathOrder),
        ("full", BY_CHUNK, False, FullOrder),
        ("block", BY_ROW, False, BlockOrder),
        ("auto", BY_ROW, False, FullOrder),
        ("auto", BY_CHUNK, False, BlockOrder),
        ("auto", BY_CHUNK, True, FullOrder),
        ("block", BY_CHUNK, True, FullOrder),
        ("none", BY_CHUNK, True, PathOrder),
    ],
    ids=[
        "none",
        "full",
        "block",
        "auto, by row",
        "auto, by chunk",
        "auto, drawn rows",
        "block, drawn rows",
        "none, drawn rows",
    ],
)
def test_the_order_that_fits(mode, layout, drawn, kind):
    index = make_index(Rows())
    selection = DRAWN if drawn else select(index, SEGMENTS["everything"])
    order = make_order(Shuffle(mode), selection, index, layout, seed=SEED)
    assert type(order) is kind
    assert np.array_equal(np.sort(whole(order)), np.arange(len(selection)))


@pytest.mark.parametrize(
    ("samples", "window_bytes", "row_bytes", "expected"),
    [
        (Rows(), 1000, 100, 10),
        (Windows(4, stride=5), 1000, 100, 2),
        (Rows(), 99, 100, 1),
        (Rows(), 1000, 0, 1000),
    ],
    ids=["rows", "a window brings stride rows", "less than a row", "rows without bytes"],
)
def test_a_window_holds_so_many_bytes(samples, window_bytes, row_bytes, expected):
    index = make_index(samples)
    layout = RowLayout(CHUNK_ROWS, row_bytes)
    shuffle = Shuffle("block", window_bytes)
    order = make_order(shuffle, select(index, SEGMENTS["everything"]), index, layout, seed=SEED)
    assert order.window_samples == expected


@pytest.mark.parametrize("mode", ["block", "full"])
def test_only_block_order_keeps_the_chunks_of_files_together(mode):
    index = make_index(Rows())
    selection = select(index, [(0, 0, 20), (2, 0, 33)])
    order = make_order(Shuffle(mode, 800), selection, index, BY_CHUNK, seed=SEED)
    chunks = {}
    for position, number in enumerate(selection(whole(order)).tolist()):
        where = index.locate(number)
        chunk = int(where.series), int(where.row) // int(CHUNK_ROWS[where.file])
        chunks.setdefault(chunk, []).append(position)
    assert len(chunks) == 3 + 7
    farthest = max(max(positions) - min(positions) for positions in chunks.values())
    assert (farthest < 8 + 8) is (mode == "block")
