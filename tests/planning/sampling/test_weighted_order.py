"""Weighted orders: slots of chunks stay together, heavy chunks are spread over many blocks, no slot is lost."""

import numpy as np
import pytest
from block_layouts import chunks_of, everything, windows_of

from h5lightning.options import Shuffle, Whole
from h5lightning.planning.sampling import (
    BlockOrder,
    FullOrder,
    RowLayout,
    WeightedOrder,
    class_weights,
    make_order,
)
from h5lightning.planning.sampling.blocks import Blocks
from h5lightning.planning.sampling.weighted_draw import StratifiedSampler
from h5lightning.planning.sampling.weighted_order import SlotBlocks

SEED = 3
ROWS = [4000, 3000, 1000]
CHUNK = 20
SIZE = sum(ROWS)
RNG = np.random.default_rng(0)
WEIGHTS = {
    "equal": np.ones(SIZE),
    "random": RNG.exponential(size=SIZE),
    "rare class in one chunk": class_weights(np.arange(SIZE) // 10 == 33),
    "rare class everywhere": class_weights(RNG.random(SIZE) < 0.05),
    "a tenth of the chunks": (np.arange(SIZE) // CHUNK % 10 == 3).astype(float),
    "one sample": (np.arange(SIZE) == 5000).astype(float),
}
each_weights = pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)


def weighted(weights, mode="block", window=1000):
    index, selection = everything(ROWS)
    layout = RowLayout(np.full(len(ROWS), CHUNK), row_bytes=1)
    order = make_order(Shuffle(mode, window), selection, index, layout, seed=SEED, weights=weights)
    assert isinstance(order, WeightedOrder)
    return order


def whole(order, epoch=0):
    return order.samples(epoch, np.arange(order.size))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("full", FullOrder), ("block", BlockOrder), ("auto", BlockOrder)],
    ids=["full", "block", "auto"],
)
def test_slots_are_in_the_order_that_fits(mode, kind):
    order = weighted(WEIGHTS["random"], mode)
    assert type(order.slot_order) is kind
    assert (order.size, order.lanes) == (SIZE, order.slot_order.lanes)
    positions = np.arange(SIZE)
    assert np.array_equal(order.lanes_of(positions), order.slot_order.lanes_of(positions))


def test_whole_series_are_drawn_one_by_one():
    index, selection = everything([7] * 50, Whole())
    layout = RowLayout(np.full(50, 7), row_bytes=1)
    order = make_order(Shuffle("block"), selection, index, layout, seed=SEED, weights=np.arange(50.0))
    assert type(order.slot_order) is FullOrder
    assert 0 not in whole(order)


@each_weights
@pytest.mark.parametrize("mode", ["full", "block"])
def test_each_slot_is_used_once_in_an_epoch(weights, mode):
    """So that the order draws what the draw does, in whichever order the slots are."""
    order = weighted(weights, mode)
    draws = [np.sort(StratifiedSampler.of(weights, SEED).samples(epoch, np.arange(SIZE))) for epoch in (0, 1)]
    found = [whole(order, epoch) for epoch in (0, 1)]
    assert np.array_equal(np.sort(found[0]), draws[0])
    assert np.array_equal(np.sort(found[1]), draws[1])
    assert (weights > 0).sum() == 1 or not np.array_equal(*found)


@pytest.mark.parametrize("mode", ["full", "block"])
def test_any_position_draws_by_weight(mode):
    """At one position, over many epochs: what a rank sees first is not drawn otherwise than the rest."""
    weights = np.repeat([1.0, 9.0], SIZE // 2)
    order = weighted(weights, mode)
    first = np.asarray([order.samples(epoch, np.arange(4)) for epoch in range(300)])
    assert abs(float((first >= SIZE // 2).mean()) - 0.9) < 0.03


@each_weights
def test_does_not_depend_on_how_it_is_asked_for(weights):
    order = weighted(weights)
    expected, backward = whole(order, 2), np.arange(SIZE)[::-1]
    assert np.array_equal(order.samples(2, backward), expected[::-1])
    assert order.samples(2, backward[:0]).tolist() == []


def decoded(order):
    """Chunks that are decoded in an epoch, each once for each window that it is used in, by all chunks."""
    index, selection = everything(ROWS)
    chunks = chunks_of(index, selection(whole(order)), CHUNK)
    windows = windows_of(order.slot_order, np.arange(SIZE))
    return np.unique(np.stack([chunks, windows]), axis=1).shape[1] / (SIZE / CHUNK)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("equal", 1.0),
        ("random", 1.4),
        ("rare class in one chunk", 1.8),
        ("rare class everywhere", 1.4),
        ("a tenth of the chunks", 1.1),
    ],
)
def test_chunks_are_decoded_about_once(name, most):
    order = weighted(WEIGHTS[name])
    windows = len(np.unique(windows_of(order.slot_order, np.arange(SIZE))))
    assert windows > 5, "with one window, any order would do"
    assert decoded(order) <= most


def test_the_test_of_decoded_chunks_can_fail():
    order = weighted(WEIGHTS["random"])
    scattered = WeightedOrder(order.slot_order, order.sampler, SlotBlocks(np.array([0, SIZE]), CHUNK))
    assert decoded(scattered) > 5


def test_a_heavy_chunk_is_spread_over_the_epoch():
    """Half of all draws come from ten samples of one chunk: each part of the epoch has its share of each of them."""
    found = whole(weighted(WEIGHTS["rare class in one chunk"]))
    parts = np.array_split(found, 8)
    for part in parts:
        rare = part[(part >= 330) & (part < 340)]
        assert 0.35 < len(rare) / len(part) < 0.65
        assert np.bincount(rare - 330, minlength=10).min() > len(rare) / 30


@pytest.mark.parametrize("sizes", [[7, 1, 40], [1], [5, 5, 5], [23, 24, 25, 26]], ids=str)
@pytest.mark.parametrize("block_slots", [1, 4, 5, 100])
def test_assigned_slots_are_all_slots(sizes, block_slots):
    borders = np.concatenate([[0], np.cumsum(sizes)])
    slot_blocks = SlotBlocks(borders, block_slots)
    assert np.array_equal(np.sort(slot_blocks.slots(np.arange(borders[-1]))), np.arange(borders[-1]))
    lengths = np.repeat(slot_blocks.blocks.lengths, slot_blocks.blocks.counts)
    assert lengths.sum() == borders[-1]
    assert lengths.max() <= max(1.5 * block_slots, 1)
    starts = slot_blocks.blocks.starts_of(np.arange(len(slot_blocks.blocks)))
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        slots = slot_blocks.slots(np.arange(start, start + length))
        group = np.searchsorted(borders, slots, side="right")
        assert len(set(group.tolist())) == 1, "a block holds slots of one group"
        assert length == 1 or slots[-1] - slots[0] >= sizes[group[0] - 1] - 2 * sizes[group[0] - 1] / length


def test_blocks_without_slots_are_left_out():
    blocks = Blocks.of(np.array([0]), np.array([4]), np.array([5]))
    sampler = StratifiedSampler.of(np.repeat([0.0, 1.0, 0.0, 1.0], 5), SEED)
    assert SlotBlocks.of(blocks, sampler).borders.tolist() == [0, 10, 20]


# Resuming an old run needs these values: they never change.
def test_the_weighted_order_stays_what_it_is():
    order = weighted(WEIGHTS["rare class in one chunk"])
    assert order.samples(5, np.arange(0, SIZE, 800)).tolist() == [
        2321,
        331,
        330,
        333,
        4118,
        339,
        535,
        330,
        7795,
        337,
    ]
    order = weighted(WEIGHTS["rare class in one chunk"], "full")
    assert order.samples(5, np.arange(6)).tolist() == [7762, 168, 338, 6613, 339, 3286]
