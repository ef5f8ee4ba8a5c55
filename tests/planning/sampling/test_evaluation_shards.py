"""EvaluationShards: each sample once, in equally many steps."""

import inspect
import itertools
import re
from itertools import pairwise

import numpy as np
import pytest

from h5lightning.errors import ShardingError
from h5lightning.planning.sampling import evaluation_shards
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards

WORLDS = (1, 2, 3, 4, 7, 8)
SIZES = (1, 7, 256, 1000, 1013)


@pytest.mark.parametrize("world_size", WORLDS, ids="{} ranks".format)
@pytest.mark.parametrize("size", [0, *SIZES], ids="{} samples".format)
def test_evaluation_delivers_each_sample_once_in_order(size, world_size):
    if 0 < size < world_size:
        with pytest.raises(ShardingError, match=f"^{size} samples cannot be evaluated on {world_size} ranks"):
            EvaluationShards(size, world_size)
        return
    shards = EvaluationShards(size, world_size)
    parts = [shards.indices(rank, 0, size + 1) for rank in range(world_size)]
    assert np.concatenate(parts).tolist() == list(range(size))
    lengths = [len(part) for part in parts]
    assert lengths == [shards.length(rank) for rank in range(world_size)]
    assert max(lengths) - min(lengths) <= 1


def test_any_slice_of_an_evaluation_part_is_a_slice_of_its_whole():
    shards = EvaluationShards(100, 3)
    whole = shards.indices(1, 0, 100).tolist()
    assert len(whole) == shards.length(1) == 33
    for start, stop in [(0, 1), (5, 20), (30, 50), (33, 40)]:
        assert shards.indices(1, start, stop).tolist() == whole[start:stop]


def steps_of(shards, rank):
    """The batches of a rank, as lists of positions."""
    full, tail = shards.batches(rank)
    sizes = [shards.batch_size] * full + list(tail)
    stops = np.cumsum([0, *sizes])
    assert stops[-1] == shards.length(rank)
    return [shards.indices(rank, start, stop).tolist() for start, stop in pairwise(stops.tolist())]


def test_evaluation_takes_equally_many_steps_and_each_sample_once():
    """All that can be with up to 60 samples, 7 ranks and batches of 2 to 9."""
    for size, world_size, batch_size in itertools.product(range(61), range(1, 8), range(2, 10)):
        if 0 < size < world_size:
            continue
        shards = EvaluationShards(size, world_size, batch_size)
        steps = [steps_of(shards, rank) for rank in range(world_size)]
        assert shards.are_steps_equal
        assert len({len(of_rank) for of_rank in steps}) == 1
        assert [one for of_rank in steps for batch in of_rank for one in batch] == list(range(size))
        sizes = [[len(batch) for batch in of_rank] for of_rank in steps]
        assert all(length == batch_size for of_rank in sizes for length in of_rank[:-2])
        for step in zip(*sizes, strict=True):
            assert max(step) - min(step) <= 1
            assert min(step) >= 1


@pytest.mark.parametrize("size", [1, 7, 12, 60])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_one_rank_gets_the_batches_of_torch(size, batch_size):
    expected = [list(range(start, min(start + batch_size, size))) for start in range(0, size, batch_size)]
    assert steps_of(EvaluationShards(size, 1, batch_size), 0) == expected


def test_batches_of_one_cannot_make_equal_steps():
    """Why they need a warning: 3 samples on 2 ranks, one each, end after 1 and 2 steps."""
    shards = EvaluationShards(3, 2, 1)
    assert not shards.are_steps_equal
    assert [len(steps_of(shards, rank)) for rank in range(2)] == [1, 2]


def test_plain_batches_may_make_unequal_steps():
    shards = EvaluationShards(17, 2, 8)
    assert shards.are_steps_equal
    assert not shards.are_plain_steps_equal
    assert EvaluationShards(15, 2, 8).are_plain_steps_equal


def test_repeated_samples_make_all_parts_equal():
    for size, world_size, batch_size in itertools.product(range(1, 30), range(1, 8), range(1, 6)):
        shards = EvaluationShards(size, world_size, batch_size, "repeat")
        steps = [steps_of(shards, rank) for rank in range(world_size)]
        assert len({tuple(map(len, of_rank)) for of_rank in steps}) == 1
        once = []
        for rank, of_rank in enumerate(steps):
            numbers = [one for batch in of_rank for one in batch]
            marks = shards.repeats(rank, 0, size + 1).tolist()
            once += [number for number, mark in zip(numbers, marks, strict=True) if not mark]
            assert sum(marks) <= 1
        assert once == list(range(size))


@pytest.mark.parametrize("tail", ["uneven", "repeat"])
def test_an_evaluation_continues_after_any_step(tail):
    for size, world_size, batch_size in [(17, 2, 8), (16, 2, 8), (25, 3, 4), (9, 2, 2), (5, 5, 3)]:
        whole = EvaluationShards(size, world_size, batch_size, tail)
        for rank in range(world_size):
            steps = steps_of(whole, rank)
            marks = whole.repeats(rank, 0, size)
            for done in range(len(steps) + 2):
                left = whole.after(done)
                assert steps_of(left, rank) == steps[done:]
                before = whole.length(rank) - left.length(rank)
                if marks is not None:
                    assert left.repeats(rank, 0, size).tolist() == marks[before:].tolist()


def test_the_table_of_the_docstring_is_right():
    lines = [line for line in inspect.getdoc(evaluation_shards).splitlines() if re.match(r" +rank \d", line)]
    table = [[int(number) for number in line.split("rank ")[1].split()[1:]] for line in lines]
    shards = EvaluationShards(9, 2, 2)
    assert table == [shards.indices(rank, 0, 11).tolist() for rank in range(2)]
