"""The clocks and meters measure what they say; where time is asserted, it is slept."""

import time
from itertools import chain, repeat

import numpy as np
import pytest
from loading.measure import (
    Batch,
    Contestant,
    Epoch,
    Spread,
    anonymous_bytes,
    in_turn,
    ratios,
    run_epoch,
    waiting_share,
)

BATCH = Batch(np.zeros((4, 2)), np.arange(4))


def slow(batches, seconds):
    for batch in batches:
        time.sleep(seconds)
        yield batch


def test_epoch_is_consumed_to_its_end():
    epoch = run_epoch(chain(repeat(BATCH, 5), [Batch(np.zeros((1, 2)), np.arange(1))]))
    assert (epoch.samples, epoch.first_samples) == (21, 4)
    assert 0 <= epoch.first_s <= epoch.total_s


def test_slow_epoch_ends_at_the_limit_and_is_closed():
    closed = []

    def endless():
        try:
            yield from slow(repeat(BATCH), 0.01)
        finally:
            closed.append(True)

    epoch = run_epoch(endless(), limit_s=0.05)
    assert 4 <= epoch.samples <= 24
    assert epoch.first_s >= 0.01
    assert closed == [True]


def test_rates_with_and_without_the_start():
    assert Epoch(samples=100, first_samples=20, first_s=6, total_s=10).rate == 10
    assert Epoch(samples=100, first_samples=20, first_s=6, total_s=10, counts_start=False).rate == 20
    assert Epoch(samples=20, first_samples=20, first_s=2, total_s=2, counts_start=False).rate == 10


def test_contestants_take_turns_after_a_warm_up():
    log = []

    def contestant(name):
        def batches(epoch):
            log.append((name, epoch))
            yield BATCH

        return Contestant(name, batches)

    found = in_turn([contestant("a"), contestant("b")], rounds=2, limit_s=1)
    assert log == [(name, epoch) for epoch in range(3) for name in "ab"]
    assert {name: len(epochs) for name, epochs in found.items()} == {"a": 2, "b": 2}


def test_ratios_are_of_the_same_round():
    ours = [Epoch(100, 10, 0, seconds) for seconds in (1, 2, 4)]
    others = [Epoch(50, 50, seconds, seconds) for seconds in (1, 2, 8)]
    assert ratios(ours, others) == Spread(2, 2, 4)


@pytest.mark.parametrize(("seconds", "low", "high"), [(0, 0, 0.2), (0.02, 0.6, 1)], ids=["ready", "late"])
def test_waiting_share(seconds, low, high):
    share = waiting_share(slow(repeat(BATCH, 6), seconds), step_s=0.005)
    assert low <= share <= high


def test_anonymous_memory_is_counted():
    before = anonymous_bytes()
    held = np.ones(32 << 20, np.uint8)
    assert anonymous_bytes() - before == pytest.approx(held.nbytes, rel=0.1)
