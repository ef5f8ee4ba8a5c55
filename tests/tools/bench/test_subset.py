"""Which subset of large data is measured."""

import numpy as np
import pytest

from h5lightning.tools.bench.subset import choose_subset


def rows_of(subset, rows):
    return subset.share * rows[subset.files].sum()


@pytest.mark.parametrize(
    ("rows", "expected", "chunk_rows"),
    [
        (np.full(10, 1000), 5000, 1),
        (np.full(10, 1000), 5000, 64),
        (np.full(10_000, 50), 3000, 1),
        (np.array([1_000_000]), 20_000, 32),
        (np.arange(1, 200), 2000, 4),
    ],
    ids=["rows", "chunks", "many files", "one file", "unequal"],
)
def test_about_as_many_rows_as_asked_for(rows, expected, chunk_rows):
    subset = choose_subset(rows, expected, chunk_rows=chunk_rows)
    assert expected * 0.5 <= rows_of(subset, rows) <= expected * 1.5 + rows.max() * (subset.share == 1)
    assert np.all(np.diff(subset.files) > 0)
    assert len(subset.files) <= 64


def test_a_file_gives_several_chunks():
    rows = np.full(20, 10_000)
    subset = choose_subset(rows, 4000, chunk_rows=100)
    assert rows_of(subset, rows) / len(subset.files) >= 8 * 100


def test_files_are_spread_over_all():
    subset = choose_subset(np.full(1000, 10), 100, chunk_rows=1)
    assert subset.files[0] < 100
    assert subset.files[-1] >= 900


def test_nearly_all_is_all():
    subset = choose_subset(np.full(4, 100), 350, chunk_rows=1)
    assert subset.is_all(4)
    assert not choose_subset(np.full(4, 100), 100, chunk_rows=1).is_all(4)


def test_whole_files_are_not_divided():
    subset = choose_subset(np.full(40, 1000), 5000, chunk_rows=1, is_divisible=False)
    assert (len(subset.files), subset.share) == (5, 1)
