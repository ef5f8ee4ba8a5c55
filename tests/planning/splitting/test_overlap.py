"""Shared rows against sets of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.core.string_table import StringTable
from h5lightning.options import Windows
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.selection import RandomSubset
from h5lightning.planning.splitting.overlap import shared_rows
from h5lightning.planning.splitting.split_plan import Segments

ROWS = np.array([12, 0, 30, 7])
INDEX = SampleIndex("/data", StringTable.of("abcd"), np.arange(4), ROWS, Windows(4, stride=3))


@st.composite
def segments(draw):
    """Disjoint runs of rows, some of them empty."""
    runs = []
    for series, rows in enumerate(ROWS.tolist()):
        bounds = sorted(draw(st.lists(st.integers(0, rows), max_size=6)))
        runs += [(series, start, stop) for start, stop in zip(bounds[::2], bounds[1::2], strict=False)]
    columns = np.array(runs, dtype=np.int64).reshape(-1, 3).T
    return Segments(*columns)


def rows_of(part):
    runs = zip(part.series.tolist(), part.start.tolist(), part.stop.tolist(), strict=True)
    return {(series, row) for series, start, stop in runs for row in range(start, stop)}


@given(segments(), segments())
def test_runs_share_what_their_sets_share(first, second):
    assert shared_rows(first, second, INDEX) == len(rows_of(first) & rows_of(second))


@pytest.mark.parametrize(("keys", "expected"), [((5, 5), 4), ((5, 6), None)], ids=["one draw", "two draws"])
def test_random_subsets_of_the_same_runs_share_their_slices(keys, expected):
    whole = (np.array([0, 2]), np.array([0, 0]), np.array([12, 30]))
    slices = [SampleRanges(np.array([0]), np.array([20])), SampleRanges(np.array([16]), np.array([42]))]
    parts = [Segments(*whole, RandomSubset(key, drawn)) for key, drawn in zip(keys, slices, strict=True)]
    found = shared_rows(*parts, INDEX)
    assert found == expected if expected is not None else 0 < found < 20


def test_random_subsets_of_different_series_share_nothing():
    subset = RandomSubset(5, SampleRanges(np.array([0]), np.array([6])))
    first = Segments(np.array([0]), np.array([0]), np.array([12]), subset)
    second = Segments(np.array([3]), np.array([0]), np.array([7]), subset)
    assert shared_rows(first, second, INDEX) == 0
