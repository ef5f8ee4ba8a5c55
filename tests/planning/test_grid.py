"""The grid of windows along several axes: the same windows as a loop over all starts finds, in the same order."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.core.string_table import StringTable
from h5lightning.options import Rows, Windows
from h5lightning.planning.grid import Grid, covered
from h5lightning.planning.index import SampleIndex

SIZES = st.integers(1, 5)


@st.composite
def layouts(draw):
    axes = draw(st.integers(2, 3))
    each = st.tuples(*[SIZES] * axes)
    samples = Windows(
        draw(each), draw(each), axis=tuple(range(axes)), pad=draw(st.sampled_from([None, "edge", "zero"]))
    )
    shapes = draw(st.lists(st.tuples(*[st.integers(0, 9)] * axes), min_size=1, max_size=4))
    return samples, np.asarray(shapes)


def starts_by_loop(samples, shape):
    """All starts of windows, the last axis fastest."""
    last = (
        shape if samples.pad else [n - length + 1 for n, length in zip(shape, samples.lengths, strict=True)]
    )
    return list(itertools.product(*map(range, [0] * len(shape), last, samples.strides)))


def index_of(samples, shapes):
    names = StringTable.of([f"{number}.h5" for number in range(len(shapes))])
    return SampleIndex(
        "/", names, np.arange(len(shapes)), shapes[:, 0], samples, grid=Grid.of(samples, shapes[:, 1:])
    )


@given(layouts())
def test_ids_count_row_after_row_and_the_last_axis_fastest(layout):
    samples, shapes = layout
    index = index_of(samples, shapes)
    expected = [
        (file, *start)
        for file, shape in enumerate(shapes.tolist())
        for start in starts_by_loop(samples, shape)
    ]
    assert len(index) == len(expected)
    where = index.locate(np.arange(len(index)))
    found = np.concatenate([where.file[:, None], index.starts(where)], axis=1)
    assert list(map(tuple, found.tolist())) == expected


@given(layouts(), st.data())
def test_ascending_ids_are_located_as_any_others(layout, data):
    samples, shapes = layout
    index = index_of(samples, shapes)
    ids = np.asarray(
        sorted(data.draw(st.lists(st.integers(0, max(0, len(index) - 1)), max_size=20))), np.int64
    )
    ids = ids[: len(index)]
    where, (units, borders, rows, cells) = index.locate(ids), index.locate_ascending(ids)
    assert units.repeat(np.diff(borders)).tolist() == where.file.tolist()
    assert (rows.tolist(), cells.tolist()) == (where.row.tolist(), where.cell.tolist())


@given(layouts(), st.data())
def test_segments_hold_the_windows_whose_rows_lie_in_them(layout, data):
    samples, shapes = layout
    index = index_of(samples, shapes)
    cut = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shapes[:, 0].tolist()]
    low, high = np.asarray(cut, np.int64).T
    ranges = index.ranges_within(np.arange(len(shapes)), low, high).normalized()
    ids = np.concatenate([np.zeros(0, np.int64), *map(np.arange, ranges.starts, ranges.stops)])
    where = index.locate(np.arange(len(index)))
    stops = where.row + (1 if samples.pad else samples.span_rows)
    expected = np.flatnonzero((where.row >= low[where.file]) & (stops <= high[where.file]))
    assert ids.tolist() == expected.tolist()


@given(layouts())
def test_covered_entries_are_those_that_a_window_holds(layout):
    samples, shapes = layout
    grid = Grid.of(samples, shapes[:, 1:])
    for unit, shape in enumerate(shapes[:, 1:].tolist()):
        for axis, n in enumerate(shape):
            starts = np.arange(grid.counts[unit, axis]) * samples.strides[axis + 1]
            inside = {int(s) + k for s in starts for k in range(samples.lengths[axis + 1]) if s + k < n}
            assert grid.covered[unit, axis] == len(inside)


@given(layouts())
def test_starts_move_by_less_than_a_stride_and_stay_inside(layout):
    samples, shapes = layout
    index = index_of(samples, shapes)
    where = index.locate(np.arange(len(index)))
    starts = index.starts(where)[:, 1:]
    most = index.grid.most_shifts(where.file, starts)
    assert (most >= 0).all()
    assert (most < np.asarray(samples.strides[1:])).all()
    last = starts + most + (0 if samples.pad else np.asarray(samples.lengths[1:]) - 1)
    assert (last < shapes[where.file, 1:]).all()


def test_samples_along_one_axis_have_no_grid():
    assert Grid.of(Windows(4), None) is None
    assert Grid.of(Rows(axis=-1), np.zeros((1, 0), np.int64)) is None


def test_windows_that_do_not_touch_leave_gaps():
    assert covered(np.asarray([3]), 5, 2, np.asarray([20])).tolist() == [6]
