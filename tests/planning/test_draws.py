"""Draws of starts and rows: uniform, without replacement, and functions of seed, epoch and id alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.draws import SampleDraws


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=20),
    take=st.integers(1, 12),
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 100),
)
def test_rows_are_ascending_distinct_and_inside(counts, take, seed, epoch):
    ids, counts = np.arange(len(counts)) * 7, np.asarray(counts)
    rows, sizes = SampleDraws(seed, epoch).rows(ids, counts, take)
    assert sizes.tolist() == np.minimum(counts, take).tolist()
    for count, part in zip(counts.tolist(), np.split(rows, np.cumsum(sizes)[:-1]), strict=True):
        assert (np.diff(part) > 0).all()
        assert part.size == 0 or 0 <= part[0] <= part[-1] < count
        if count <= take:
            assert part.tolist() == list(range(count))


@given(ids=st.lists(st.integers(0, 2**40), min_size=2, max_size=20, unique=True), seed=st.integers(0, 2**32))
def test_a_draw_does_not_depend_on_the_other_samples_of_the_batch(ids, seed):
    draws, ids = SampleDraws(seed, 3), np.asarray(ids)
    counts = ids % 40 + 1
    rows, sizes = draws.rows(ids, counts, 5)
    alone = [draws.rows(ids[[i]], counts[[i]], 5)[0] for i in range(len(ids))]
    assert rows.tolist() == np.concatenate(alone).tolist()
    numbers = draws.numbers(ids, counts)
    assert numbers.tolist() == [int(draws.numbers(ids[[i]], counts[[i]])[0]) for i in range(len(ids))]
    assert sizes.sum() == len(rows)


def test_starts_are_uniform_and_independent_along_axes():
    ids = np.arange(30_000)
    draws = SampleDraws(5, 1, jitters=True)
    first, second = (draws.numbers(ids, np.full(len(ids), 6), axis) for axis in (0, 1))
    pairs = np.bincount(first * 6 + second, minlength=36)
    assert pairs.size == 36
    assert abs(pairs - len(ids) / 36).max() < 6 * np.sqrt(len(ids) / 36)


def test_each_row_is_drawn_equally_often():
    ids = np.arange(20_000)
    rows, _ = SampleDraws(1, 0).rows(ids, np.full(len(ids), 10), 3)
    times = np.bincount(rows, minlength=10)
    assert abs(times - len(ids) * 0.3).max() < 6 * np.sqrt(len(ids) * 0.3 * 0.7)


@pytest.mark.parametrize("stage", ["val", "test", "predict"])
def test_evaluation_draws_no_starts_and_does_not_know_the_epoch(stage):
    assert SampleDraws.of_stage(stage, 3, 7) == SampleDraws(3, 0, jitters=False)
    assert SampleDraws.of_stage("train", 3, 7) == SampleDraws(3, 7, jitters=True)
