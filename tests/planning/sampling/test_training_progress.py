"""The position: what was consumed is a prefix of the epoch, and what is left comes once, for any world."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from h5lightning.errors import ResumeError, ShardingError
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.planning.sampling.training_shards import TrainingShards
from h5lightning.planning.sampling.window_cuts import WindowCut

SIZE = 101


@st.composite
def divisions(draw, size=SIZE):
    """A whole epoch, divided among any number of ranks."""
    options = draw(st.tuples(st.integers(1, 9), st.integers(1, 6), st.sampled_from(["drop", "repeat"])))
    try:
        return TrainingShards(size, *options, drop_last=draw(st.booleans()))
    except ShardingError:
        assume(False)


def delivered(shards, steps):
    """Positions that all ranks deliver in the first steps."""
    stop = steps * shards.batch_size
    parts = [shards.indices(rank, 0, min(stop, shards.length(rank))) for rank in range(shards.world_size)]
    return np.concatenate(parts)


@given(st.lists(divisions(), min_size=1, max_size=4), st.data())
def test_an_epoch_that_is_resumed_again_and_again_is_an_epoch(runs, data):
    position, seen, ended = TrainingProgress(), [], None
    for number, shards in enumerate(runs):
        left = position.remaining_epoch(shards)
        part = shards if left is None else left.shards
        is_last = number == len(runs) - 1
        steps = part.steps if is_last else data.draw(st.integers(0, max(0, part.full_steps - 1)))
        seen.append(delivered(part, steps))
        position = position.after(0, position.steps + steps, shards)
        # What is left may make no step of a run, which then ends the epoch.
        ended = shards if ended is None and position.samples == SIZE else ended
    counts = np.bincount(np.concatenate(seen), minlength=SIZE)
    last = ended or runs[-1]
    lost = last.step_samples - 1 if last.drop_last else last.world_size - 1
    assert (counts == 0).sum() <= lost
    assert (counts > 1).sum() <= (last.world_size - 1 if last.tail == "repeat" else 0)
    assert position.samples == SIZE or not part.steps


@given(divisions(), st.integers(1, 200))
def test_steps_are_those_of_each_rank(shards, steps):
    position = TrainingProgress().after(3, min(steps, shards.steps), shards)
    assert (position.epoch, position.steps) == (3, min(steps, shards.steps))
    if steps < shards.steps:
        assert position.samples == steps * shards.step_samples


@given(divisions(), st.integers(0, 50))
def test_the_same_division_goes_on_where_it_was(shards, steps):
    steps = min(steps, shards.full_steps)
    left = TrainingProgress().after(0, steps, shards).remaining_epoch(shards)
    if left is None:
        assert steps == 0
        return
    assert left.steps_done == steps
    assert left.steps_done + left.shards.steps == shards.steps
    for rank in range(shards.world_size):
        whole = shards.indices(rank, steps * shards.batch_size, shards.length(rank))
        assert np.array_equal(left.shards.indices(rank, 0, left.shards.length(rank)), whole)


def test_an_epoch_begins_at_its_first_sample():
    shards = TrainingShards(SIZE, 5, 2)
    position = TrainingProgress(2, 4, 40, 2, 5)
    assert position.after(3, 0, shards) == TrainingProgress(3, 0, 0, 2, 5)
    assert position.after(3, 1, shards).samples == 10
    assert TrainingProgress(3).remaining_epoch(shards) is None


def test_what_was_dropped_does_not_come_back():
    shards = TrainingShards(9, 2, 2)
    assert shards.dropped == 1
    done = TrainingProgress().after(0, 2, shards)
    assert done.samples == 9
    assert done.remaining_epoch(TrainingShards(9, 2, 1)).shards.steps == 0


def test_a_restarted_epoch_has_all_of_its_samples():
    shards = TrainingShards(SIZE, 5, 2)
    left = TrainingProgress(1, 4, 40).restarted().remaining_epoch(shards)
    assert (left.epoch, left.steps_done, left.shards) == (1, 4, shards)


def test_it_is_plain():
    position = TrainingProgress(1, 2, 3, 4, 5)
    assert TrainingProgress.of_plain(json.loads(json.dumps(position.to_plain()))) == position


@pytest.mark.parametrize("start", [-1, SIZE + 1])
def test_there_is_nothing_outside_of_an_epoch(start):
    with pytest.raises(ValueError, match=f"an epoch of {SIZE} samples cannot continue at {start}"):
        TrainingShards(SIZE, 5, 2, start=start)


def test_it_says_the_windows_of_another_run_until_they_are_over():
    first, second = TrainingShards(5000, 4, 2), TrainingShards(5000, 3, 1)
    position = TrainingProgress().after(0, 60, first)
    assert "window_start" not in position.to_plain(), "as earlier versions wrote it"
    assert position.windows == WindowCut(0, 8)
    inside = position.after(0, 60 + 10, second)
    assert (inside.to_plain()["window_start"], inside.to_plain()["window_step"]) == (0, 8)
    after = inside.after(0, 60 + 200, second)
    assert after.windows == WindowCut(801, 3)
    assert after.after(1, 5, second) == TrainingProgress(1, 5, 15, 1, 3)
    assert TrainingProgress.of_plain(json.loads(json.dumps(after.to_plain()))) == after
    assert after.restarted().windows is None


@pytest.mark.parametrize(("start", "step"), [(-1, 3), (50, 3), (0, 0)])
def test_windows_that_cannot_be_are_refused(start, step):
    plain = {**TrainingProgress(0, 4, 40).to_plain(), "window_start": start, "window_step": step}
    with pytest.raises(ResumeError, match="this is not a position of a training loader"):
        TrainingProgress.of_plain(plain)
