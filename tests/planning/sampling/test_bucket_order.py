"""Bucketed order: each sample once for any steps and resumptions, batches of similar size, and nothing left behind."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest
from block_layouts import everything
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from h5lightning.errors import ShardingError
from h5lightning.options import Shuffle
from h5lightning.planning.sampling import (
    BlockOrder,
    BucketOrder,
    FullOrder,
    PathOrder,
    RowLayout,
    WeightedOrder,
    fingerprint,
    make_order,
)
from h5lightning.planning.sampling.bucket_order import in_steps
from h5lightning.planning.sampling.rank_epoch import RankEpoch
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.planning.sampling.training_shards import TrainingShards

SEED = 5


def bucketed(sizes, base=None, seed=SEED):
    sizes = np.asarray(sizes)
    return BucketOrder(base or FullOrder(sizes.size, seed), lambda positions: sizes[positions], "n", seed)


def rank_epochs(order, shards, epoch=0, remaining=None):
    """The epoch of each rank."""
    return [RankEpoch.of(epoch, order, shards, rank, remaining) for rank in range(shards.world_size)]


def batches_of(order, shards, epoch=0, remaining=None):
    """The positions of each step of each rank, ``[step][rank]``."""
    ranks = [
        [one.positions for one in part.requests()] for part in rank_epochs(order, shards, epoch, remaining)
    ]
    return list(zip(*ranks, strict=True))


def lengths(size, seed=0):
    return np.random.default_rng(seed).integers(1, 101, size)


@st.composite
def divisions(draw, size):
    """A whole epoch, divided among up to four ranks."""
    batch, world = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    try:
        return TrainingShards(
            size, batch, world, draw(st.sampled_from(["drop", "repeat"])), draw(st.booleans())
        )
    except ShardingError:
        assume(False)


sizes_of_samples = st.integers(5, 900).flatmap(
    lambda size: st.builds(
        lambda seed, kinds: np.random.default_rng(seed).integers(0, kinds, size),
        st.integers(0, 99),
        st.sampled_from([1, 3, 1000]),
    )
)


@settings(deadline=None)
@given(sizes_of_samples, st.data())
def test_each_sample_comes_once(sizes, data):
    shards, epoch = data.draw(divisions(sizes.size)), data.draw(st.integers(0, 3))
    seen = Counter(
        np.concatenate([np.concatenate(step) for step in batches_of(bucketed(sizes), shards, epoch)]).tolist()
    )
    assert sizes.size - len(seen) == shards.dropped
    assert seen.total() - len(seen) == shards.repeated
    assert max(seen.values()) <= 2


@settings(deadline=None)
@given(sizes_of_samples, st.data())
def test_runs_that_are_resumed_with_other_steps_are_an_epoch(sizes, data):
    """Three runs, each with its own ranks and batch size, stopped after any step."""
    order, position, seen, ended = bucketed(sizes), TrainingProgress(2), [], None
    for number in range(3):
        shards = data.draw(divisions(sizes.size))
        left = position.remaining_epoch(shards)
        steps = batches_of(order, shards, 2, left)
        assert len(steps) == (shards if left is None else left.shards).steps
        done = len(steps) if number == 2 else data.draw(st.integers(0, len(steps)))
        seen += [np.concatenate(step) for step in steps[:done]]
        position = TrainingProgress.of_plain(position.after(2, position.steps + done, shards).to_plain())
        ended = shards if ended is None and position.samples == sizes.size else ended
    last = ended or shards
    counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *seen]), minlength=sizes.size)
    assert (counts == 0).sum() <= (last.step_samples - 1 if last.drop_last else last.world_size - 1)
    assert (counts > 1).sum() <= (last.world_size - 1 if last.tail == "repeat" else 0)


@settings(deadline=None)
@given(sizes_of_samples, st.data())
def test_a_run_that_goes_on_delivers_what_the_whole_one_does(sizes, data):
    order, shards = bucketed(sizes), data.draw(divisions(sizes.size))
    whole = batches_of(order, shards, 1)
    first = data.draw(st.integers(0, shards.steps))
    second = data.draw(st.integers(first, shards.steps))
    position = TrainingProgress(1).after(1, first, shards).after(1, second, shards)
    rest = batches_of(order, shards, 1, position.remaining_epoch(shards))
    assert [np.concatenate(step).tolist() for step in rest] == [
        np.concatenate(step).tolist() for step in whole[second:]
    ]


def test_the_epoch_after_a_resumed_one_has_windows_of_its_own():
    sizes, before, after = lengths(5000), TrainingShards(5000, 4, 2), TrainingShards(5000, 3, 1)
    order = bucketed(sizes)
    left = TrainingProgress(1).after(1, 77, before).remaining_epoch(after)
    assert_equal_steps(batches_of(order, after, 2, left), batches_of(order, after, 2))


def assert_equal_steps(one, other):
    assert len(one) == len(other)
    for parts in zip(one, other, strict=True):
        assert np.array_equal(np.concatenate(parts[0]), np.concatenate(parts[1]))


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 9))
def test_steps_of_a_window_have_similar_sizes(batch, world, seed):
    """The ranges of its full steps lie side by side, up to ties, and so do those of the parts of a step."""
    sizes, shards = lengths(1500, seed), TrainingShards(1500, batch, world)
    steps, window = batches_of(bucketed(sizes), shards), 50
    for first in range(0, shards.full_steps, window):
        part = steps[first : min(first + window, shards.full_steps)]
        in_window = sizes[np.concatenate([np.concatenate(step) for step in part])]
        ranges = [np.ptp(sizes[batch]) for step in part for batch in step]
        assert sum(ranges) <= np.ptp(in_window)


def padding(sizes, batches):
    padded = sum(sizes[batch].max() * len(batch) for batch in batches)
    return 1 - sum(sizes[batch].sum() for batch in batches) / padded


@pytest.mark.parametrize("world", [1, 4])
def test_little_of_a_batch_is_padding(world):
    sizes, shards = lengths(20_000), TrainingShards(20_000, 32, world)
    base = FullOrder(sizes.size, SEED)
    plain, sorted_ = (
        padding(sizes, [batch for step in batches_of(order, shards) for batch in step])
        for order in (base, bucketed(sizes, base))
    )
    assert 0.35 < plain < 0.55
    assert sorted_ < 0.1


def test_little_is_padding_after_a_resumption_with_other_steps():
    sizes, after = lengths(40_000), TrainingShards(40_000, 20, 3)
    left = TrainingProgress().after(0, 333, TrainingShards(40_000, 32)).remaining_epoch(after)
    batches = [batch for step in batches_of(bucketed(sizes), after, 0, left) for batch in step]
    assert padding(sizes, batches) < 0.1


def test_steps_come_in_random_order_and_differ_between_epochs_and_seeds():
    sizes, shards = lengths(1600), TrainingShards(1600, 32)
    means = np.asarray([sizes[step[0]].mean() for step in batches_of(bucketed(sizes), shards)])
    assert abs(np.corrcoef(means, np.arange(50))[0, 1]) < 0.5
    order = bucketed(sizes)
    one, again = batches_of(order, shards), batches_of(bucketed(sizes), shards)
    assert_equal_steps(one, again)
    assert not np.array_equal(one[0], batches_of(order, shards, 1)[0])
    assert not np.array_equal(one[0], batches_of(bucketed(sizes, seed=6), shards)[0])


def test_no_rank_has_the_smallest_samples_of_all_steps():
    sizes, shards = np.arange(6400), TrainingShards(6400, 8, 2)
    first, second = zip(*batches_of(bucketed(sizes), shards), strict=True)
    is_smaller = [a.max() < b.min() for a, b in zip(first, second, strict=True)]
    assert all(a.max() < b.min() or b.max() < a.min() for a, b in zip(first, second, strict=True))
    assert 0.35 < np.mean(is_smaller) < 0.65


def test_each_sample_is_as_likely_to_be_in_the_incomplete_step():
    """Also if an epoch is one window: over the epochs, none is always dropped, and none never."""
    sizes, shards, epochs = np.arange(94), TrainingShards(94, 10, 1, drop_last=True), 2000
    order, dropped = bucketed(sizes), np.zeros(94)
    for epoch in range(epochs):
        seen = np.concatenate([step[0] for step in batches_of(order, shards, epoch)])
        dropped[np.setdiff1d(sizes, seen)] += 1
    assert dropped.sum() == 4 * epochs
    assert np.abs(dropped / epochs - 4 / 94).max() < 0.025


def test_the_incomplete_step_comes_last_and_has_neighbours():
    sizes, shards = np.arange(1013) * 3, TrainingShards(1013, 10)
    spans = []
    for epoch in range(20):
        steps = batches_of(bucketed(sizes), shards, epoch)
        assert [len(step[0]) for step in steps] == [10] * 101 + [3]
        window = np.sort(np.concatenate([step[0] for step in steps[100:]]))
        places = np.searchsorted(window, np.sort(steps[-1][0]))
        spans.append(np.ptp(places))
    assert set(spans) <= {2, 12, 11}  # it may go on at the beginning of the window
    assert spans.count(2) > 10


@given(st.integers(1, 300), st.integers(1, 4), st.data())
@settings(deadline=None)
def test_does_not_depend_on_how_it_is_asked_for(size, batch, data):
    sizes, shards = lengths(size), TrainingShards(size, batch)
    order = in_steps(bucketed(sizes), shards.after(data.draw(st.integers(0, size))))
    whole = order.samples(3, np.arange(size))
    assert np.array_equal(np.sort(whole), np.arange(size))
    some = np.asarray(data.draw(st.lists(st.integers(0, size - 1), max_size=50)), np.int64)
    assert np.array_equal(order.samples(3, some), whole[some])
    assert (
        np.array_equal(order.samples(2, some), in_steps(order, shards.after(0)).samples(2, some))
        or order.cuts.own.start
    )
    assert np.array_equal(order.samples(3, some), whole[some])


def test_threads_may_ask_at_the_same_time():
    sizes, wrong = lengths(9000), []
    order = in_steps(bucketed(sizes), TrainingShards(9000, 4))
    expected = {epoch: order.samples(epoch, np.arange(9000)) for epoch in range(2)}

    def ask(number):
        rng = np.random.default_rng(number)
        for _ in range(150):
            some, epoch = rng.integers(0, 9000, 40), int(rng.integers(0, 2))
            if not np.array_equal(order.samples(epoch, some), expected[epoch][some]):
                wrong.append(some)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def made(mode, weights=None, sizes=None):
    index, selection = everything([400, 300, 100])
    layout = RowLayout(np.full(3, 20), row_bytes=1)
    sizes = lengths(800) if sizes is None else sizes
    shuffle = Shuffle(mode, 100, bucket="n")
    return make_order(
        shuffle,
        selection,
        index,
        layout,
        seed=SEED,
        weights=weights,
        sizes=lambda positions: sizes[positions],
    )


@pytest.mark.parametrize(
    ("mode", "weights", "kind"),
    [
        ("full", None, FullOrder),
        ("block", None, BlockOrder),
        ("full", np.arange(800.0), WeightedOrder),
        ("block", np.arange(800.0), WeightedOrder),
    ],
)
def test_lies_over_any_order(mode, weights, kind):
    """In an epoch it delivers what the order beneath does: the same draws, and in a window the same blocks."""
    order, shards = made(mode, weights), TrainingShards(800, 2, 2)
    assert type(order.base) is kind
    assert (order.size, order.lanes, order.block_samples) == (800, 1, order.base.block_samples)
    assert not order.lanes_of(np.arange(5)).any()
    delivered = in_steps(order, shards).samples(1, np.arange(800)).reshape(4, 200)
    beneath = order.base.samples(1, np.arange(800)).reshape(4, 200)
    assert np.array_equal(np.sort(delivered), np.sort(beneath))
    assert not np.array_equal(delivered, beneath)


def test_an_order_that_is_not_bucketed_does_not_depend_on_steps():
    order = FullOrder(10, SEED)
    assert in_steps(order, TrainingShards(10, 2)) is order
    assert fingerprint(order) == fingerprint(FullOrder(10, SEED))


def test_the_fingerprint_does_not_depend_on_steps_but_on_the_sizes():
    sizes = lengths(800)
    order = made("full", sizes=sizes)
    known = fingerprint(order)
    assert {fingerprint(in_steps(order, TrainingShards(800, batch, 2))) for batch in (1, 2, 8)} == {known}
    assert known == fingerprint(made("full", sizes=sizes.copy()))
    assert known != fingerprint(order.base)
    assert known != fingerprint(made("full", sizes=sizes[::-1]))
    assert known != fingerprint(made("block", sizes=sizes))


def test_there_may_be_no_sample():
    assert isinstance(
        make_order(Shuffle(bucket="n"), *everything([0])[::-1], RowLayout(np.ones(1, int), 1), seed=0),
        PathOrder,
    )
