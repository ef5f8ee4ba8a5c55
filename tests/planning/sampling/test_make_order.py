"""Which order fits, and how many samples its blocks and windows hold."""

import numpy as np
import pytest
from block_layouts import chunks_of, everything

from h5lightning.options import Rows, Shuffle, Whole, Windows
from h5lightning.planning.index import SampleRanges
from h5lightning.planning.sampling import BlockOrder, FullOrder, PathOrder, RowLayout, make_order
from h5lightning.planning.sampling.make_order import block_samples
from h5lightning.planning.selection import RandomSubset, Selection

SEED = 3
ROWS = [20, 33, 7, 64]
BY_ROW = RowLayout(np.ones(4, dtype=np.int64), row_bytes=100)
BY_CHUNK = RowLayout(np.array([8, 5, 1, 100]), row_bytes=100)
EVERYTHING = SampleRanges(np.array([0]), np.array([124]))
DRAWN = Selection(EVERYTHING, RandomSubset(1, EVERYTHING))


@pytest.mark.parametrize(
    ("mode", "layout", "drawn", "samples", "kind"),
    [
        ("none", BY_CHUNK, False, Rows(), PathOrder),
        ("full", BY_CHUNK, False, Rows(), FullOrder),
        ("block", BY_ROW, False, Rows(), BlockOrder),
        ("auto", BY_ROW, False, Rows(), FullOrder),
        ("auto", BY_CHUNK, False, Rows(), BlockOrder),
        ("auto", BY_CHUNK, False, Windows(3), BlockOrder),
        ("auto", BY_CHUNK, False, Whole(), FullOrder),
        ("block", BY_CHUNK, False, Whole(), FullOrder),
        ("auto", BY_CHUNK, True, Rows(), FullOrder),
        ("block", BY_CHUNK, True, Rows(), FullOrder),
        ("none", BY_CHUNK, True, Rows(), PathOrder),
    ],
    ids=[
        "none",
        "full",
        "block",
        "auto, by row",
        "auto, by chunk",
        "auto, windows",
        "auto, whole series",
        "block, whole series",
        "auto, drawn rows",
        "block, drawn rows",
        "none, drawn rows",
    ],
)
def test_the_order_that_fits(mode, layout, drawn, samples, kind):
    index, selection = everything(ROWS, samples)
    selection = DRAWN if drawn else selection
    order = make_order(Shuffle(mode), selection, index, layout, seed=SEED)
    assert type(order) is kind
    assert np.array_equal(np.sort(order.samples(0, np.arange(order.size))), np.arange(len(selection)))


def test_nothing_has_an_order_too():
    index, selection = everything([0, 0])
    order = make_order(Shuffle("block"), selection, index, RowLayout(np.array([4, 4]), 8), seed=SEED)
    assert (order.size, order.samples(0, np.arange(0)).tolist()) == (0, [])


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
    index, selection = everything(ROWS, samples)
    layout = RowLayout(BY_CHUNK.chunk_rows, row_bytes)
    order = make_order(Shuffle("block", window_bytes), selection, index, layout, seed=SEED)
    assert order.window_samples == expected


@pytest.mark.parametrize(
    ("samples", "chunk_rows", "mixed", "expected"),
    [
        (Rows(), [1, 8, 1250], 1000, [1, 8, 1250]),
        (Rows(), [1, 8, 1250], 64 * 1024, [64, 64, 1250]),
        (Rows(), [0], 0, [1]),
        (Windows(4, stride=4), [8, 32], 1000, [2, 8]),
        (Windows(4, stride=4), [6, 10], 1000, [3, 5]),
        (Windows(3, stride=5), [9, 1000], 1000, [9, 200]),
        (Windows(2, stride=997), [1000], 1000, [1]),
        (Windows(9), [32], 10**5, [22 * 32]),
        (Windows(70), [32], 10**6 // 2, [66 * 32]),
        (Windows(9), [32], 64 * 128, [4 * 32]),
        (Windows(9), [1250], 1000, [1250]),
    ],
    ids=[
        "chunks",
        "small chunks go together",
        "nothing",
        "a stride divides chunks",
        "a stride that chunks share a divisor with",
        "a stride that shares none",
        "a stride about as long as chunks",
        "chunks that are crossed go together",
        "more so if several are crossed",
        "but 64 blocks stay in the window",
        "or chunks are as large as that",
    ],
)
def test_a_block_holds_so_many_samples(samples, chunk_rows, mixed, expected):
    index, _ = everything([10**6] * len(chunk_rows), samples)
    assert block_samples(np.array(chunk_rows), index, mixed).tolist() == expected


@pytest.mark.parametrize("mode", ["block", "full"])
def test_only_block_order_keeps_chunks_together(mode):
    index, selection = everything([4000, 3000])
    layout = RowLayout(np.array([20, 20]), row_bytes=1)
    order = make_order(Shuffle(mode, 700), selection, index, layout, seed=SEED)
    chunks = chunks_of(index, selection(order.samples(0, np.arange(7000))), 20)
    spread = [np.ptp(np.flatnonzero(chunks == chunk)) for chunk in np.unique(chunks)]
    assert bool(max(spread) < 2 * 700) is (mode == "block")
