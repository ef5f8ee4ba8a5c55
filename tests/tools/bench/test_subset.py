"""Which part of large data is measured."""

import numpy as np
import pytest

from h5lightning.tools.bench.subset import choose_part


def rows_of(part, rows):
    return part.share * rows[part.files].sum()


@pytest.mark.parametrize(
    ("rows", "wanted", "chunk_rows"),
    [
        (np.full(10, 1000), 5000, 1),
        (np.full(10, 1000), 5000, 64),
        (np.full(10_000, 50), 3000, 1),
        (np.array([1_000_000]), 20_000, 32),
        (np.arange(1, 200), 2000, 4),
    ],
    ids=["rows", "chunks", "many files", "one file", "unequal"],
)
def test_about_as_many_rows_as_are_wanted(rows, wanted, chunk_rows):
    part = choose_part(rows, wanted, chunk_rows=chunk_rows)
    assert wanted * 0.5 <= rows_of(part, rows) <= wanted * 1.5 + rows.max() * (part.share == 1)
    assert np.all(np.diff(part.files) > 0)
    assert len(part.files) <= 64


def test_a_file_gives_several_chunks():
    rows = np.full(20, 10_000)
    part = choose_part(rows, 4000, chunk_rows=100)
    assert rows_of(part, rows) / len(part.files) >= 8 * 100


def test_files_are_spread_over_all():
    part = choose_part(np.full(1000, 10), 100, chunk_rows=1)
    assert part.files[0] < 100
    assert part.files[-1] >= 900


def test_nearly_all_is_all():
    part = choose_part(np.full(4, 100), 350, chunk_rows=1)
    assert part.is_all(4)
    assert not choose_part(np.full(4, 100), 100, chunk_rows=1).is_all(4)


def test_whole_files_are_not_divided():
    part = choose_part(np.full(40, 1000), 5000, chunk_rows=1, is_divisible=False)
    assert (len(part.files), part.share) == (5, 1)
