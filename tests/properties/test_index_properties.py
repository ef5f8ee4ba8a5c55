"""Any files, series and windows: ids against a list of all samples, segments and blocks against loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.core.string_table import StringTable
from h5lightning.options import Rows, Whole, Windows
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.sampling.blocks import shuffle_blocks
from h5lightning.planning.selection import RandomSubset, Selection

SAMPLES = st.one_of(
    st.just(Rows()),
    st.just(Whole()),
    st.builds(Windows, st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)),
)


@st.composite
def indexes(draw):
    """Up to six files of up to three series of up to thirty rows."""
    series = draw(st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=6))
    file = [number for number, rows in enumerate(series) for _ in rows]
    rows = [count for of_file in series for count in of_file]
    names = StringTable.of(f"{number}.h5" for number in range(len(series)))
    columns = (np.array(column, dtype=np.int64) for column in (file, rows))
    return SampleIndex("/data", names, *columns, draw(SAMPLES))


@st.composite
def segmented_indexes(draw):
    """An index and disjoint segments of its series, ``(segments, 3)``: series, start, stop."""
    index = draw(indexes())
    segments = []
    for series, rows in enumerate(index.series_rows.tolist()):
        cuts = sorted(draw(st.sets(st.integers(0, rows), max_size=6)))
        segments += [(series, *cut) for cut in zip(cuts[::2], cuts[1::2], strict=False)]
    return index, np.array(segments, dtype=np.int64).reshape(-1, 3)


def samples_of(index):
    """(series, rows of the sample) of all samples, one by one."""
    found = []
    for series, rows in enumerate(index.series_rows.tolist()):
        if isinstance(index.samples, Whole):
            found += [(series, range(rows))] * (rows > 0)
            continue
        window = index.samples if isinstance(index.samples, Windows) else Windows(1)
        for start in range(0, rows, window.stride):
            inside = range(start, start + window.length * window.dilation, window.dilation)
            found += [(series, inside)] * (inside[-1] < rows)
    return found


def members(ranges):
    return [
        number
        for start, stop in zip(ranges.starts.tolist(), ranges.stops.tolist(), strict=True)
        for number in range(start, stop)
    ]


@given(indexes())
def test_ids_number_all_samples_in_order(index):
    expected = samples_of(index)
    where = index.locate(np.arange(len(index)))
    assert len(index) == len(expected)
    assert where.series.tolist() == [series for series, _ in expected]
    assert where.row.tolist() == [rows[0] for _, rows in expected]
    assert where.file.tolist() == [int(index.series_file[series]) for series, _ in expected]


@given(segmented_indexes())
def test_segments_hold_the_samples_whose_rows_all_lie_inside(case):
    index, segments = case
    expected = [
        number
        for number, (series, rows) in enumerate(samples_of(index))
        for segment, start, stop in segments.tolist()
        if segment == series and start <= rows[0] and rows[-1] < stop
    ]
    assert members(index.ranges_within(*segments.T)) == expected


@given(segmented_indexes(), st.lists(st.integers(1, 12), min_size=6, max_size=6))
def test_blocks_are_neighbours_cut_at_every_nth_sample_of_a_series(case, block_samples):
    index, segments = case
    block_samples = np.array(block_samples)
    selection = Selection(index.ranges_within(*segments.T))
    ids = selection(np.arange(len(selection)))
    where = index.locate(ids)
    block = (ids - index.first_id[where.series]) // block_samples[where.file]
    begins = np.flatnonzero(
        (np.diff(ids, prepend=-2) != 1)
        | (np.diff(where.series, prepend=-1) != 0)
        | (np.diff(block, prepend=-1) != 0)
    )
    blocks = shuffle_blocks(selection, index, block_samples)
    assert np.array_equal(np.sort(blocks.starts_of(np.arange(len(blocks)))), begins)
    assert blocks.size == len(selection)


@given(st.lists(st.integers(0, 4), max_size=20), st.integers(0, 3))
def test_merged_ranges_hold_the_same_samples_in_fewer_ranges(gaps, first):
    borders = first + np.cumsum([0, *gaps, *([0] * (len(gaps) % 2 == 0))])
    ranges = SampleRanges(borders[::2].astype(np.int64), borders[1::2].astype(np.int64))
    merged = ranges.normalized()
    assert members(merged) == members(ranges)
    assert len(merged) == len(members(ranges))
    assert np.all(merged.stops > merged.starts)
    assert np.all(merged.starts[1:] > merged.stops[:-1])


@st.composite
def selections(draw):
    """Ranges of up to some hundred ids, or random subsets of them."""
    edges = sorted(draw(st.sets(st.integers(0, 300), max_size=12)))
    ranges = SampleRanges(
        *np.array(list(zip(edges[::2], edges[1::2], strict=False)), dtype=np.int64).reshape(-1, 2).T
    )
    if draw(st.booleans()):
        return Selection(ranges)
    key = draw(st.integers(0, 2**64 - 1))
    cuts = sorted(draw(st.sets(st.integers(0, len(ranges)), max_size=8)))
    slices = np.array(list(zip(cuts[::2], cuts[1::2], strict=False)), dtype=np.int64).reshape(-1, 2)
    return Selection(ranges, RandomSubset(key, SampleRanges(*slices.T)))


@given(selections(), st.data())
def test_ids_and_positions_are_inverse(selection, data):
    ids = selection(np.arange(len(selection))).tolist()
    place = {number: position for position, number in enumerate(ids)}
    asked = data.draw(st.lists(st.integers(-2, 305), max_size=40))
    assert selection.positions(asked).tolist() == [place.get(number, -1) for number in asked]
    assert selection.positions(ids).tolist() == list(range(len(ids)))
