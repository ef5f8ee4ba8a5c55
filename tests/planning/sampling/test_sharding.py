"""Which rank gets what: nothing twice, nothing lost, equal steps, and always a prefix of the epoch."""

import inspect
import itertools
import pickle
import re
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from h5lightning.errors import ShardingError
from h5lightning.planning.sampling import sharding
from h5lightning.planning.sampling.sharding import EvaluationShards, TrainingShards

WORLDS = (1, 2, 3, 4, 7, 8)
SIZES = (1, 7, 256, 1000, 1013)
BATCHES = (1, 7, 32)
TAILS = ("drop", "repeat")


def has_a_step(size, batch_size, world_size, tail, drop_last):
    """Whether there is a step at all, in the words of the documentation."""
    if drop_last:
        return size >= batch_size * world_size
    return size >= world_size or tail == "repeat"


MATRIX = list(itertools.product(SIZES, BATCHES, WORLDS, TAILS, (False, True)))
CASES = [case for case in MATRIX if has_a_step(*case)]
HOPELESS = [case for case in MATRIX if not has_a_step(*case)]


def text(case):
    return "{} samples, batch {}, {} ranks, {}{}".format(*case[:4], ", drop_last" * case[4])


def batches_of(shards):
    """Rank → its batches in the order of steps, each an array of positions."""
    return [
        np.split(
            shards.positions(rank, 0, shards.length(rank)),
            range(shards.batch_size, shards.length(rank), shards.batch_size),
        )
        for rank in range(shards.world_size)
    ]


@pytest.fixture(params=CASES, ids=text)
def shards(request):
    size, batch_size, world_size, tail, drop_last = request.param
    return TrainingShards(size, batch_size, world_size, tail, drop_last)


# ── training ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_matrix_covers_both_ends():
    assert len(MATRIX) == 360
    assert {case[3:] for case in CASES} == set(itertools.product(TAILS, (False, True)))
    assert len(HOPELESS) > 30


def test_every_rank_takes_equally_many_steps(shards):
    assert {len(batches) for batches in batches_of(shards)} == {shards.steps}


def test_all_batches_but_the_last_are_full_and_that_differs_by_one(shards):
    batches = batches_of(shards)
    lengths = [[len(batch) for batch in of_rank] for of_rank in batches]
    assert {length for of_rank in lengths for length in of_rank[:-1]} <= {shards.batch_size}
    last = [of_rank[-1] for of_rank in lengths]
    assert min(last) >= 1
    assert max(last) - min(last) <= 1


def test_each_sample_is_delivered_once_but_for_the_tail(shards):
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


def test_what_is_consumed_is_a_prefix_of_the_epoch(shards):
    consumed = np.zeros(shards.size, dtype=bool)
    for step in zip(*batches_of(shards), strict=True):
        before = int(consumed.sum())
        positions = np.concatenate(step)
        consumed[positions] = True
        after = min(before + len(positions), shards.size)
        assert consumed[:after].all()
        assert not consumed[after:].any()


def test_any_slice_of_a_rank_is_a_slice_of_its_whole(shards):
    for rank in {0, shards.world_size - 1}:
        length = shards.length(rank)
        whole = shards.positions(rank, 0, length)
        for start, stop in [(0, 1), (length // 2, length), (length - 1, length + 5), (length, length + 5)]:
            assert shards.positions(rank, start, stop).tolist() == whole[start:stop].tolist()


@pytest.mark.parametrize("case", HOPELESS, ids=text)
def test_an_epoch_without_a_step_is_refused(case):
    size, batch_size, world_size, tail, drop_last = case
    with pytest.raises(ShardingError, match=f"^{size} training samples make no step: ") as caught:
        TrainingShards(*case)
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
    assert [shards.positions(rank, 0, 9).tolist() for rank in range(4)] == [
        [0, 1, 8],
        [2, 3, 0],
        [4, 5, 1],
        [6, 7, 2],
    ]


def test_a_billion_samples_cost_what_a_batch_costs():
    shards = TrainingShards(10**9 + 3, 32, 8)
    last = shards.length(7)
    assert shards.positions(7, last - 3, last).tolist() == [10**9 - 3, 10**9 - 2, 10**9 - 1]
    assert (shards.dropped, shards.repeated) == (3, 0)


def test_a_step_is_dealt_by_lane_stably():
    shards = TrainingShards(12, 2, 3)
    lanes = np.array([2, 0, 1, 1, 0, 2, 0, 0, 0, 0, 0, 0])
    dealt = [shards.positions(rank, 0, 4, lanes.__getitem__).tolist() for rank in range(3)]
    assert dealt == [[1, 4, 6, 7], [2, 3, 8, 9], [0, 5, 10, 11]]


def test_many_ranks_are_dealt_to_in_little_memory():
    shards = TrainingShards(10**9, 64, 1024)
    tracemalloc.start()
    try:
        positions = shards.positions(1023, 640, 640 + 1280, lambda positions: positions % 32)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert positions.size == 1280
    assert np.array_equal(positions // (64 * 1024), np.repeat(np.arange(10, 30), 64))
    assert set((positions % 32).tolist()) == {31}
    assert peak_bytes < 16 * 2**20


# ── evaluation ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("world_size", WORLDS, ids="{} ranks".format)
@pytest.mark.parametrize("size", [0, *SIZES], ids="{} samples".format)
def test_evaluation_delivers_each_sample_once_in_order(size, world_size):
    if 0 < size < world_size:
        with pytest.raises(ShardingError, match=f"^{size} samples cannot be evaluated on {world_size} ranks"):
            EvaluationShards(size, world_size)
        return
    shards = EvaluationShards(size, world_size)
    parts = [shards.positions(rank, 0, size + 1) for rank in range(world_size)]
    assert np.concatenate(parts).tolist() == list(range(size))
    lengths = [len(part) for part in parts]
    assert lengths == [shards.length(rank) for rank in range(world_size)]
    assert max(lengths) - min(lengths) <= 1


def test_any_slice_of_an_evaluation_part_is_a_slice_of_its_whole():
    shards = EvaluationShards(100, 3)
    whole = shards.positions(1, 0, 100).tolist()
    assert len(whole) == shards.length(1) == 33
    for start, stop in [(0, 1), (5, 20), (30, 50), (33, 40)]:
        assert shards.positions(1, start, stop).tolist() == whole[start:stop]


def steps_of(shards, rank):
    """The batches of a rank, as lists of positions."""
    full, tail = shards.batches(rank)
    sizes = [shards.batch_size] * full + list(tail)
    stops = np.cumsum([0, *sizes])
    assert stops[-1] == shards.length(rank)
    return [shards.positions(rank, start, stop).tolist() for start, stop in pairwise(stops.tolist())]


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
def test_one_rank_is_dealt_as_torch_does(size, batch_size):
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
def test_an_evaluation_goes_on_behind_any_step(tail):
    for size, world_size, batch_size in [(17, 2, 8), (16, 2, 8), (25, 3, 4), (9, 2, 2), (5, 5, 3)]:
        whole = EvaluationShards(size, world_size, batch_size, tail)
        for rank in range(world_size):
            steps = steps_of(whole, rank)
            marks = whole.repeats(rank, 0, size)
            for done in range(len(steps) + 2):
                rest = whole.after(done)
                assert steps_of(rest, rank) == steps[done:]
                before = whole.length(rank) - rest.length(rank)
                if marks is not None:
                    assert rest.repeats(rank, 0, size).tolist() == marks[before:].tolist()


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "shards", [TrainingShards(100, 7, 3), EvaluationShards(100, 3)], ids=["train", "eval"]
)
def test_survives_a_pickle(shards):
    assert pickle.loads(pickle.dumps(shards)) == shards


def drawn_tables():
    """The tables of the docstring, rank → positions: training and evaluation side by side, then dealt by lane."""
    lines = [line for line in inspect.getdoc(sharding).splitlines() if re.match(r" +rank \d", line)]
    cells = [re.findall(r"rank \d((?: +\d+)+)", line) for line in lines]
    tables = [[row[0] for row in cells[:2]], [row[1] for row in cells[:2]], [row[0] for row in cells[2:]]]
    return [[[int(number) for number in row.split()] for row in table] for table in tables]


def test_the_tables_of_the_docstring_are_right():
    training, evaluation = TrainingShards(11, 2, 2), EvaluationShards(9, 2, 2)
    assert drawn_tables() == [
        [training.positions(rank, 0, 11).tolist() for rank in range(2)],
        [evaluation.positions(rank, 0, 11).tolist() for rank in range(2)],
        [training.positions(rank, 0, 11, lambda positions: positions % 2).tolist() for rank in range(2)],
    ]
