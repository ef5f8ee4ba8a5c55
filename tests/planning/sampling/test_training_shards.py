"""TrainingShards: no sample twice, none lost, equal steps, and always a prefix of the epoch."""

import inspect
import itertools
import re
import tracemalloc

import numpy as np
import pytest

from h5lightning.errors import ShardingError
from h5lightning.planning.sampling import training_shards
from h5lightning.planning.sampling.training_shards import TrainingShards

WORLDS = (1, 2, 3, 4, 7, 8)
SIZES = (1, 7, 256, 1000, 1013)
BATCHES = (1, 7, 32)
TAILS = ("drop", "repeat")


def has_a_step(size, batch_size, world_size, tail, drop_last):
    """Whether there is a step at all, as the documentation says."""
    if drop_last:
        return size >= batch_size * world_size
    return size >= world_size or tail == "repeat"


MATRIX = list(itertools.product(SIZES, BATCHES, WORLDS, TAILS, (False, True)))
CASES = [case for case in MATRIX if has_a_step(*case)]
HOPELESS = [case for case in MATRIX if not has_a_step(*case)]


def batches_of(shards):
    """Rank → its batches in the order of steps, each an array of positions."""
    return [
        np.split(
            shards.indices(rank, 0, shards.length(rank)),
            range(shards.batch_size, shards.length(rank), shards.batch_size),
        )
        for rank in range(shards.world_size)
    ]


@pytest.fixture(params=WORLDS, ids="{} ranks".format)
def all_shards(request):
    """The shards of each case with this number of ranks."""
    found = [TrainingShards(*case) for case in CASES if case[2] == request.param]
    assert len(found) > 30
    return found


def test_the_matrix_covers_both_ends():
    assert len(MATRIX) == 360
    assert {case[3:] for case in CASES} == set(itertools.product(TAILS, (False, True)))
    assert len(HOPELESS) > 30


def test_every_rank_takes_equally_many_steps(all_shards):
    for shards in all_shards:
        assert {len(batches) for batches in batches_of(shards)} == {shards.steps}, shards


def test_all_batches_but_the_last_are_full_and_that_differs_by_one(all_shards):
    for shards in all_shards:
        lengths = [[len(batch) for batch in of_rank] for of_rank in batches_of(shards)]
        assert {length for of_rank in lengths for length in of_rank[:-1]} <= {shards.batch_size}, shards
        last = [of_rank[-1] for of_rank in lengths]
        assert min(last) >= 1, shards
        assert max(last) - min(last) <= 1, shards


def test_each_sample_is_delivered_once_but_for_the_tail(all_shards):
    for shards in all_shards:
        check_counts(shards)


def check_counts(shards):
    delivered = np.concatenate([batch for of_rank in batches_of(shards) for batch in of_rank])
    counts = np.bincount(delivered, minlength=shards.size)
    assert len(counts) == shards.size
    assert (counts == 0).sum() == shards.dropped
    assert (counts - 1).clip(0).sum() == shards.repeated
    if shards.drop_last:
        assert (shards.dropped, shards.repeated) == (shards.size % shards.step_samples, 0)
    else:
        bound = {"drop": shards.dropped, "repeat": shards.repeated}
        assert bound.pop(shards.tail) <= shards.world_size - 1
        assert list(bound.values()) == [0]


def test_what_is_consumed_is_a_prefix_of_the_epoch(all_shards):
    for shards in all_shards:
        check_prefix(shards)


def check_prefix(shards):
    consumed = np.zeros(shards.size, dtype=bool)
    for step in zip(*batches_of(shards), strict=True):
        before = int(consumed.sum())
        positions = np.concatenate(step)
        consumed[positions] = True
        after = min(before + len(positions), shards.size)
        assert consumed[:after].all()
        assert not consumed[after:].any()


def test_any_slice_of_a_rank_is_a_slice_of_its_whole(all_shards):
    for shards in all_shards:
        check_slices(shards)


def check_slices(shards):
    for rank in {0, shards.world_size - 1}:
        length = shards.length(rank)
        whole = shards.indices(rank, 0, length)
        for start, stop in [(0, 1), (length // 2, length), (length - 1, length + 5), (length, length + 5)]:
            assert shards.indices(rank, start, stop).tolist() == whole[start:stop].tolist()


def test_an_epoch_without_a_step_is_refused():
    for size, batch_size, world_size, tail, drop_last in HOPELESS:
        with pytest.raises(ShardingError, match=f"^{size} training samples make no step: ") as caught:
            TrainingShards(size, batch_size, world_size, tail, drop_last)
        needed = batch_size * world_size
        why = f"drop_last=True needs {needed}" if drop_last else f"each of {world_size} ranks needs one"
        assert why in str(caught.value)
        assert tail == "drop" or drop_last


def test_nothing_to_train_on_is_refused():
    with pytest.raises(ShardingError, match=r"^0 training samples make no step: the split is empty$"):
        TrainingShards(0, 4, tail="repeat")


def test_what_can_help_is_named():
    with pytest.raises(ShardingError, match=r"Use fewer ranks or tail='repeat'$"):
        TrainingShards(3, 2, 4)
    with pytest.raises(ShardingError, match=r"Use fewer ranks, a smaller batch_size or drop_last=False$"):
        TrainingShards(3, 2, 4, tail="repeat", drop_last=True)


def test_the_repeated_samples_are_the_first_of_the_epoch():
    shards = TrainingShards(9, 2, 4, tail="repeat")
    assert [shards.indices(rank, 0, 9).tolist() for rank in range(4)] == [
        [0, 1, 8],
        [2, 3, 0],
        [4, 5, 1],
        [6, 7, 2],
    ]


def test_a_billion_samples_cost_what_a_batch_costs():
    shards = TrainingShards(10**9 + 3, 32, 8)
    last = shards.length(7)
    assert shards.indices(7, last - 3, last).tolist() == [10**9 - 3, 10**9 - 2, 10**9 - 1]
    assert (shards.dropped, shards.repeated) == (3, 0)


def test_a_step_is_sorted_by_lane_stably():
    shards = TrainingShards(12, 2, 3)
    lanes = np.array([2, 0, 1, 1, 0, 2, 0, 0, 0, 0, 0, 0])
    positions = [shards.indices(rank, 0, 4, lanes.__getitem__).tolist() for rank in range(3)]
    assert positions == [[1, 4, 6, 7], [2, 3, 8, 9], [0, 5, 10, 11]]


def test_many_ranks_need_little_memory():
    shards = TrainingShards(10**9, 64, 1024)
    tracemalloc.start()
    try:
        positions = shards.indices(1023, 640, 640 + 1280, lambda positions: positions % 32)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert positions.size == 1280
    assert np.array_equal(positions // (64 * 1024), np.repeat(np.arange(10, 30), 64))
    assert set((positions % 32).tolist()) == {31}
    assert peak_bytes < 16 * 2**20


def test_the_tables_of_the_docstring_are_right():
    lines = [line for line in inspect.getdoc(training_shards).splitlines() if re.match(r" +rank \d", line)]
    tables = [[int(number) for number in line.split("rank ")[1].split()[1:]] for line in lines]
    shards = TrainingShards(11, 2, 2)
    assert tables == [
        *(shards.indices(rank, 0, 11).tolist() for rank in range(2)),
        *(shards.indices(rank, 0, 11, lambda positions: positions % 2).tolist() for rank in range(2)),
    ]
