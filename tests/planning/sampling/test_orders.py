"""Full and path order: bijective, different each epoch or never, the same however they are called."""

import pickle

import numpy as np
import pytest

from h5lightning.planning.sampling import FullOrder, PathOrder

SEED = 3
ORDERS = {"full": FullOrder(1000, SEED), "path": PathOrder(1000), "one sample": FullOrder(1, SEED)}
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
    backward = np.arange(order.size)[::-1]
    assert np.array_equal(order.samples(2, backward), expected[::-1])
    assert order.samples(2, backward[:0]).tolist() == []


def test_the_full_order_differs_from_epoch_to_epoch_and_from_seed_to_seed():
    orders = [whole(FullOrder(1000, seed), epoch) for seed in (1, 2) for epoch in range(4)]
    assert len({tuple(order.tolist()) for order in orders}) == 8


def test_the_path_order_is_the_same_in_each_epoch():
    assert [whole(PathOrder(5), epoch).tolist() for epoch in (0, 7)] == [[*range(5)]] * 2


@each_order
def test_there_is_one_lane(order):
    assert order.lanes == 1
    assert order.lanes_of(np.arange(order.size)).tolist() == [0] * order.size


@each_order
def test_survives_a_pickle(order):
    assert pickle.loads(pickle.dumps(order)) == order


# Resuming an old run needs these values: they never change.
@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, [8, 0, 3, 6, 5, 7, 4, 1, 2, 9]), (1, [4, 8, 9, 6, 0, 5, 1, 3, 7, 2])],
    ids=["epoch 0", "epoch 1"],
)
def test_the_full_order_stays_what_it_is(epoch, expected):
    assert whole(FullOrder(10, SEED), epoch).tolist() == expected
