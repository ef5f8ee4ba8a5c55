"""Orders and permutations of any size: bijections that do not depend on how they are called."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.core.permutation import KeyedPermutation, KeyedPermutations, derive_key, derive_keys
from h5lightning.planning.sampling import BlockOrder, Blocks, FullOrder, WeightedOrder
from h5lightning.planning.sampling.weighted_draw import StratifiedSampler
from h5lightning.planning.sampling.weighted_order import SlotBlocks

SEEDS = st.integers(0, 2**63)
EPOCHS = st.integers(0, 10_000)
RUNS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), min_size=1, max_size=12).filter(
    lambda runs: any(count * length for count, length in runs)
)


@st.composite
def block_orders(draw):
    counts, lengths = np.array(draw(RUNS)).T
    ends = np.cumsum(counts * lengths)
    blocks = Blocks.of(ends - counts * lengths, counts, lengths)
    return BlockOrder(blocks, draw(st.integers(1, 6000)), draw(SEEDS))


@st.composite
def weighted_orders(draw):
    """Weights of a few sizes for samples in blocks; at least one of them is not 0."""
    order = draw(block_orders())
    weights = np.random.default_rng(draw(SEEDS)).choice([0, 0, 1, 1.5, 300], order.size)
    weights[draw(st.integers(0, order.size - 1))] = 2
    drawn = StratifiedSampler.of(weights, order.seed)
    slot_blocks = SlotBlocks.of(order.blocks, drawn)
    places = BlockOrder(slot_blocks.blocks, order.window_samples, order.seed)
    return weights, WeightedOrder(places, drawn, slot_blocks)


def orders():
    return st.one_of(st.builds(FullOrder, st.integers(1, 2000), SEEDS), block_orders())


@given(st.integers(0, 3000), SEEDS)
def test_a_permutation_is_a_bijection(size, key):
    found = KeyedPermutation(size, key)(np.arange(size))
    assert np.array_equal(np.sort(found), np.arange(size))


@given(st.integers(1, 2**62), SEEDS, st.data())
def test_images_lie_inside_and_differ(size, key, data):
    positions = data.draw(st.lists(st.integers(0, size - 1), max_size=50, unique=True))
    found = KeyedPermutation(size, key)(np.array(positions, dtype=np.int64)).tolist()
    assert len(set(found)) == len(positions)
    assert all(0 <= image < size for image in found)


@given(st.lists(st.lists(st.integers() | st.text(), max_size=3), min_size=2, max_size=5, unique_by=tuple))
def test_keys_differ_where_their_parts_do(parts):
    assert len({derive_key(*one) for one in parts}) == len(parts)


@given(orders(), EPOCHS)
def test_an_order_is_a_bijection(order, epoch):
    found = order.samples(epoch, np.arange(order.size))
    assert np.array_equal(np.sort(found), np.arange(order.size))


@given(st.one_of(orders(), weighted_orders().map(lambda pair: pair[1])), EPOCHS, st.data())
def test_an_order_does_not_depend_on_how_it_is_asked_for(order, epoch, data):
    whole = order.samples(epoch, np.arange(order.size))
    positions = data.draw(st.lists(st.integers(0, order.size - 1), max_size=30))
    order.samples(epoch + 1, np.arange(order.size))
    assert order.samples(epoch, np.array(positions, dtype=np.int64)).tolist() == whole[positions].tolist()


@given(weighted_orders(), EPOCHS)
def test_a_weighted_order_draws_by_weight(weights_and_order, epoch):
    weights, order = weights_and_order
    found = np.bincount(order.samples(epoch, np.arange(order.size)), minlength=order.size)
    assert found.sum() == order.size
    assert np.all(np.abs(found - order.size * weights / weights.sum()) < 2)
    assert not found[weights == 0].any()


@given(block_orders(), st.integers(1, 500))
def test_lanes_take_turns_until_they_end(order, piece):
    positions = np.arange(order.size)
    lanes = np.concatenate(
        [order.lanes_of(positions[start : start + piece]) for start in range(0, order.size, piece)]
    )
    for start in range(0, order.size, order.lanes):
        group = lanes[start : start + order.lanes]
        live = len(np.unique(lanes[start:]))
        assert len(np.unique(group[:live])) == min(live, len(group))


@settings(max_examples=50)
@given(block_orders(), EPOCHS)
def test_a_block_lies_in_one_lane(order, epoch):
    lanes = np.empty(order.size, dtype=np.int64)
    lanes[order.samples(epoch, np.arange(order.size))] = order.lanes_of(np.arange(order.size))
    blocks = np.arange(len(order.blocks))
    lengths = np.repeat(order.blocks.lengths, order.blocks.counts)
    starts = order.blocks.starts_of(blocks)
    assert all(len(set(lanes[s : s + n].tolist())) == 1 for s, n in zip(starts, lengths, strict=True))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=20), SEEDS)
def test_permutations_side_by_side_are_bijections(sizes, key):
    sizes = np.array(sizes)
    which = np.repeat(np.arange(len(sizes)), sizes)
    positions = np.concatenate([np.arange(size) for size in sizes])
    found = KeyedPermutations(sizes, derive_keys(key, np.arange(len(sizes))))(which, positions)
    assert np.array_equal(found[np.lexsort((found, which))], positions)
