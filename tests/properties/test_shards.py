"""Any number of samples on any number of ranks: nothing lost, nothing twice, equal steps."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from h5lightning.errors import ShardingError
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.training_shards import TrainingShards

WORLDS = st.integers(1, 40)
SIZES = st.integers(0, 1500)


@st.composite
def training_shards(draw):
    size, batch_size, world_size = draw(SIZES), draw(st.integers(1, 50)), draw(WORLDS)
    tail, drop_last = draw(st.sampled_from(["drop", "repeat"])), draw(st.booleans())
    try:
        return TrainingShards(size, batch_size, world_size, tail, drop_last)
    except ShardingError:
        # Refused only where each rank cannot have its batch, or its one sample.
        assert size < (batch_size if drop_last else 1) * world_size
        assert drop_last or tail == "drop" or size == 0
        assume(False)


def delivered(shards, stop=None):
    """Positions that all ranks deliver in the first steps, with repetition."""
    samples = None if stop is None else stop * shards.batch_size
    return np.concatenate(
        [
            shards.indices(rank, 0, shards.length(rank) if samples is None else samples)
            for rank in range(shards.world_size)
        ]
    )


@given(training_shards())
def test_training_delivers_each_sample_once_but_for_the_tail(shards):
    counts = np.bincount(delivered(shards), minlength=shards.size)
    assert counts.sum() == shards.size - shards.dropped + shards.repeated
    assert np.array_equal(counts == 0, np.arange(shards.size) >= shards.size - shards.dropped)
    assert shards.dropped < (shards.step_samples if shards.drop_last else shards.world_size)
    assert shards.repeated < shards.world_size
    assert shards.repeated == 0 or shards.tail == "repeat"


@given(training_shards())
def test_ranks_take_equal_steps_of_nearly_equal_batches(shards):
    lengths = [shards.length(rank) for rank in range(shards.world_size)]
    assert {-(-length // shards.batch_size) for length in lengths} == {shards.steps}
    assert max(lengths) - min(lengths) <= 1


@given(training_shards(), st.data())
def test_what_is_consumed_is_a_prefix_for_any_world(shards, data):
    steps = data.draw(st.integers(0, shards.full_steps))
    consumed = np.sort(delivered(shards, steps))
    assert np.array_equal(consumed, np.arange(steps * shards.step_samples))


@given(training_shards(), st.data())
def test_slices_of_a_rank_join_to_its_whole(shards, data):
    rank = data.draw(st.integers(0, shards.world_size - 1))
    piece = data.draw(st.integers(1, 200))
    length = shards.length(rank)
    parts = [shards.indices(rank, start, start + piece) for start in range(0, length, piece)]
    assert np.array_equal(np.concatenate(parts), shards.indices(rank, 0, length))


@given(SIZES, WORLDS)
def test_evaluation_delivers_each_sample_once(size, world_size):
    if 0 < size < world_size:
        with pytest.raises(ShardingError):
            EvaluationShards(size, world_size)
        return
    shards = EvaluationShards(size, world_size)
    parts = [shards.indices(rank, 0, shards.length(rank)) for rank in range(world_size)]
    assert np.array_equal(np.concatenate(parts), np.arange(size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@st.composite
def lanes_of_indices(draw, size):
    """Indices assigned to lanes in turn until they end, as in an order with lanes of these lengths."""
    number = draw(st.sampled_from([1, 2, 4, 8, 32]))
    lengths = np.sort(draw(st.lists(st.integers(1, 60), min_size=number, max_size=number)))
    turn, lane = np.divmod(np.arange(number * lengths[-1]), number)
    lanes = np.resize(lane[turn < lengths[lane]], max(size, 1))
    return lambda positions: lanes[positions % len(lanes)]


@given(training_shards(), st.data())
def test_dealing_by_lane_keeps_steps_and_lengths(shards, data):
    lanes_of = data.draw(lanes_of_indices(shards.size))
    parts = [shards.indices(rank, 0, shards.length(rank), lanes_of) for rank in range(shards.world_size)]
    assert [len(part) for part in parts] == [shards.length(rank) for rank in range(shards.world_size)]
    for step in range(shards.steps):
        own = slice(step * shards.batch_size, (step + 1) * shards.batch_size)
        plain = [shards.indices(rank, own.start, own.stop) for rank in range(shards.world_size)]
        by_lane = [part[own] for part in parts]
        assert [len(part) for part in by_lane] == [len(part) for part in plain]
        assert np.array_equal(np.sort(np.concatenate(by_lane)), np.sort(np.concatenate(plain)))


@given(training_shards(), st.data())
def test_lanes_ascend_from_rank_to_rank(shards, data):
    lanes_of = data.draw(lanes_of_indices(shards.size))
    step = data.draw(st.integers(0, shards.steps - 1))
    own = slice(step * shards.batch_size, (step + 1) * shards.batch_size)
    lanes = [
        np.sort(lanes_of(shards.indices(rank, own.start, own.stop, lanes_of)))
        for rank in range(shards.world_size)
    ]
    assume(shards.world_size > 1 and not (shards.repeated and step == shards.steps - 1))
    assert np.all(np.diff(np.concatenate(lanes)) >= 0)


@given(training_shards(), st.data())
def test_slices_of_a_by_lane_rank_join_to_its_whole(shards, data):
    lanes_of = data.draw(lanes_of_indices(shards.size))
    rank = data.draw(st.integers(0, shards.world_size - 1))
    piece = data.draw(st.integers(1, 200))
    length = shards.length(rank)
    parts = [shards.indices(rank, start, start + piece, lanes_of) for start in range(0, length, piece)]
    assert np.array_equal(np.concatenate(parts), shards.indices(rank, 0, length, lanes_of))
