"""Orders and permutations of any size: bijections that do not depend on how they are asked for."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.ordering import BlockOrder, FullOrder
from h5lightning.permutation import KeyedPermutation, derive_key

SEEDS = st.integers(0, 2**63)
EPOCHS = st.integers(0, 10_000)
BLOCKS = st.lists(st.integers(0, 60), min_size=1, max_size=40).filter(any)


@st.composite
def block_orders(draw):
    starts = np.concatenate([[0], np.cumsum(draw(BLOCKS))])
    return BlockOrder(starts, draw(st.integers(1, 300)), draw(SEEDS))


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


@given(orders(), EPOCHS, st.data())
def test_an_order_does_not_depend_on_how_it_is_asked_for(order, epoch, data):
    whole = order.samples(epoch, np.arange(order.size))
    positions = data.draw(st.lists(st.integers(0, order.size - 1), max_size=30))
    order.samples(epoch + 1, np.arange(order.size))
    assert order.samples(epoch, np.array(positions, dtype=np.int64)).tolist() == whole[positions].tolist()


@settings(max_examples=50)
@given(block_orders(), EPOCHS)
def test_a_block_never_leaves_its_window(order, epoch):
    sizes = np.diff(order.starts)
    position = np.argsort(order.samples(epoch, np.arange(order.size)))
    bound = order.window_samples + sizes.max()
    for start, size in zip(order.starts[:-1][sizes > 0], sizes[sizes > 0], strict=True):
        assert np.ptp(position[start : start + size]) < bound
