"""Samples, files and rows against brute force."""

import dataclasses
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from h5lightning.core.string_table import StringTable
from h5lightning.options import Rows, Whole, Windows
from h5lightning.planning.index import SampleIndex, SampleRanges

SAMPLES = {
    "rows": Rows(),
    "windows": Windows(4),
    "stride": Windows(3, stride=2),
    "sparse": Windows(2, stride=5, dilation=3),
    "one row": Windows(1, stride=3),
    "whole": Whole(),
}
# Two series in file 1, none in file 2; empty series first, in the middle and last.
SERIES_FILE = [0, 1, 1, 3, 4, 5, 6]
SERIES_ROWS = [0, 5, 9, 3, 0, 12, 0]
each_kind = pytest.mark.parametrize("samples", SAMPLES.values(), ids=SAMPLES)


def make_index(samples, series_file=SERIES_FILE, series_rows=SERIES_ROWS, **options):
    files = max(series_file, default=-1) + 1
    return SampleIndex(
        root="/data",
        names=StringTable.of(f"{file}.h5" for file in range(files)),
        series_file=np.asarray(series_file, dtype=np.int64),
        series_rows=np.asarray(series_rows, dtype=np.int64),
        samples=samples,
        **options,
    )


def rows_of(samples, start, stop, series_rows):
    """First rows of the samples that lie in rows start to stop of a series, one by one."""
    if isinstance(samples, Whole):
        return [0] if (start, stop) == (0, series_rows) and stop > 0 else []
    if isinstance(samples, Rows):
        return list(range(start, stop))
    span = (samples.length - 1) * samples.dilation + 1
    return [row for row in range(0, series_rows, samples.stride) if start <= row and row + span <= stop]


def all_samples(index):
    """(file, series, first row) of every sample, in order."""
    return [
        (file, series, row)
        for series, (file, rows) in enumerate(zip(SERIES_FILE, SERIES_ROWS, strict=True))
        for row in rows_of(index.samples, 0, rows, rows)
    ]


def triples(location):
    return list(zip(location.file.tolist(), location.series.tolist(), location.row.tolist(), strict=True))


# ── counting and locating ────────────────────────────────────────────────────────────────────────────


@each_kind
def test_locates_every_sample(samples):
    index = make_index(samples)
    expected = all_samples(index)
    assert len(index) == len(expected) > 0
    assert triples(index.locate(np.arange(len(index)))) == expected


@each_kind
def test_counts_samples_of_each_series(samples):
    index = make_index(samples)
    expected = [len(rows_of(samples, 0, rows, rows)) for rows in SERIES_ROWS]
    assert index.series_samples.tolist() == expected
    assert index.first_id.tolist() == [sum(expected[:series]) for series in range(len(expected) + 1)]


def test_locates_in_any_order_and_shape():
    index = make_index(Rows())
    order = np.random.default_rng(0).permutation(len(index)).reshape(-1, 1)
    found = index.locate(order)
    assert found.row.shape == order.shape
    flat = [all_samples(index)[number] for number in order.ravel()]
    assert list(zip(found.file.ravel(), found.series.ravel(), found.row.ravel(), strict=True)) == flat
    assert triples(index.locate([])) == []


@pytest.mark.parametrize("ids", [[-1], [29], [0, 29], [3, -5]], ids=repr)
def test_ids_outside_are_refused(ids):
    message = rf"sample ids must lie in \[0, 29\), found {min(ids)}\.\.{max(ids)}"
    with pytest.raises(IndexError, match=message):
        make_index(Rows()).locate(ids)


@pytest.mark.parametrize("ids", [[True], [0.5], "3", None, np.array([1.0])], ids=repr)
def test_what_holds_no_whole_numbers_is_refused(ids):
    with pytest.raises(TypeError, match="ids must be whole numbers"):
        make_index(Rows()).locate(ids)


def test_an_index_may_hold_no_sample():
    index = make_index(Windows(100))
    assert len(index) == 0
    with pytest.raises(IndexError, match=r"must lie in \[0, 0\)"):
        index.locate([0])


def test_an_index_may_hold_no_series():
    index = make_index(Rows(), [], [])
    assert (len(index), index.file_rows.tolist()) == (0, [])


# ── files and series ─────────────────────────────────────────────────────────────────────────────────


def test_rows_of_a_file_are_those_of_its_series():
    assert make_index(Windows(4)).file_rows.tolist() == [0, 14, 0, 3, 0, 12, 0]


def test_names_files_and_series():
    index = make_index(Rows(), series_names=StringTable.of("abcdefg"))
    assert Path(index.path(3)) == Path("/data/3.h5")
    assert [index.series_name(series) for series in (1, 2)] == ["b", "c"]
    assert make_index(Rows()).series_name(2) == ""


@pytest.mark.parametrize(
    ("samples", "stride"), [(Rows(), 1), (Windows(4, stride=3), 3), (Whole(), 1)], ids=repr
)
def test_stride(samples, stride):
    assert make_index(samples).stride_rows == stride


def test_series_without_rows_are_refused():
    with pytest.raises(ValueError, match="2 series have files, 1 have rows"):
        make_index(Rows(), [0, 1], [5])


def test_series_out_of_order_are_refused():
    with pytest.raises(ValueError, match="series must be in the order of their files"):
        make_index(Rows(), [1, 0], [5, 5])


# ── segments of series ───────────────────────────────────────────────────────────────────────────────


@each_kind
def test_samples_within_any_segment(samples):
    index = make_index(samples)
    ids = {(series, row): number for number, (_, series, row) in enumerate(all_samples(index))}
    for series, rows in enumerate(SERIES_ROWS):
        for start in range(rows + 1):
            for stop in range(start, rows + 1):
                ranges = index.ranges_within(*(np.array([value]) for value in (series, start, stop)))
                found = [number for low, high in pairs(ranges) for number in range(low, high)]
                expected = [ids[series, row] for row in rows_of(samples, start, stop, rows)]
                assert found == expected, f"rows {start} to {stop} of series {series}"


@each_kind
def test_segments_that_hold_no_sample_do_not_disturb_the_next_series(samples):
    index = make_index(samples, [0, 1], [12, 12])
    ranges = index.ranges_within(np.array([0, 0, 1]), np.array([0, 11, 0]), np.array([11, 12, 12]))
    last = rows_of(samples, 11, 12, 12)
    expected = [*rows_of(samples, 0, 11, 12), *last, *rows_of(samples, 0, 12, 12)]
    where = index.locate([number for low, high in pairs(ranges) for number in range(low, high)])
    assert where.row.tolist() == expected


def pairs(ranges):
    return list(zip(ranges.starts.tolist(), ranges.stops.tolist(), strict=True))


@pytest.mark.parametrize(
    ("starts", "stops", "merged"),
    [
        ([], [], []),
        ([3], [3], []),
        ([0, 2, 5], [2, 5, 6], [(0, 6)]),
        ([0, 3, 3, 8], [2, 3, 8, 9], [(0, 2), (3, 9)]),
        ([0, 2, 4], [1, 3, 5], [(0, 1), (2, 3), (4, 5)]),
    ],
    ids=["none", "empty", "touching", "empty between", "apart"],
)
def test_ranges_merge_to_the_fewest(starts, stops, merged):
    ranges = SampleRanges(np.array(starts, dtype=np.int64), np.array(stops, dtype=np.int64))
    assert pairs(ranges.normalized()) == merged
    assert len(ranges) == len(ranges.normalized()) == sum(stop - start for start, stop in merged)


@pytest.mark.parametrize(
    ("starts", "stops"),
    [([3], [2]), ([0, 1], [2, 3]), ([5, 0], [6, 1])],
    ids=["backward", "overlapping", "not ascending"],
)
def test_ranges_that_are_not_disjoint_are_refused(starts, stops):
    with pytest.raises(ValueError, match="must ascend and be disjoint"):
        SampleRanges(np.array(starts), np.array(stops))


# ── size ─────────────────────────────────────────────────────────────────────────────────────────────


@each_kind
def test_ten_thousand_files_pickle_to_two_megabytes(samples):
    files = np.arange(10_000)
    index = SampleIndex(
        "/data",
        StringTable.of(f"site-{n % 90}/session-{n:05}/recording.h5" for n in files),
        files,
        files,
        samples,
    )
    before = pickle.dumps(index)
    index.locate([0])
    assert len(before) < 2_000_000
    assert len(pickle.dumps(index)) < 2_000_000
    assert len(pickle.loads(before)) == len(index)


def test_a_billion_samples_take_the_memory_of_their_files():
    files = np.arange(1000)
    tracemalloc.start()
    try:
        names = StringTable.of(f"{n}.h5" for n in files)
        index = SampleIndex("/data", names, files, np.full(1000, 1_000_000), Windows(1))
        where = index.locate([0, 999_999, 1_000_000, 10**9 - 1])
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert triples(where) == [(0, 0, 0), (0, 0, 999_999), (1, 1, 0), (999, 999, 999_999)]
    assert peak_bytes < 1_000_000


def test_first_series_of_each_file():
    index = make_index(Rows(), [0, 0, 2, 6, 6, 6], [4, 0, 3, 1, 1, 1])
    assert index.first_series.tolist() == [0, 2, 2, 3, 3, 3, 3, 6]


@each_kind
@pytest.mark.parametrize("size", [1, 3, 8, 200])
def test_ascending_ids_are_located_as_any_others(samples, size):
    index = make_index(samples)
    ids = np.sort(np.random.default_rng(size).integers(0, len(index), size))
    files, borders, rows, _ = index.locate_ascending(ids)
    where = index.locate(ids)
    assert files.tolist() == np.unique(where.file).tolist()
    assert np.array_equal(files.repeat(np.diff(borders)), where.file)
    assert (borders[0], borders[-1]) == (0, size)
    assert np.array_equal(rows, where.row)


def test_no_ids_lie_in_no_file():
    files, borders, rows, _ = make_index(Rows()).locate_ascending(np.zeros(0, np.int64))
    assert (files.size, borders.tolist(), rows.size) == (0, [0], 0)


@pytest.mark.parametrize("ids", [[-1, 0], [0, 29]])
def test_ascending_ids_outside_of_the_index_are_refused(ids):
    with pytest.raises(IndexError, match=r"sample ids must lie in \[0, 29\)"):
        make_index(Rows()).locate_ascending(np.array(ids))


@each_kind
def test_an_index_may_begin_at_any_id(samples):
    index = make_index(samples)
    later = dataclasses.replace(index, first=1000)
    assert len(later) == len(index)
    ids = np.arange(len(index))
    assert triples(index.locate(ids)) == triples(later.locate(ids + 1000))
    for first, second in zip(
        index.locate_ascending(ids)[:3], later.locate_ascending(ids + 1000)[:3], strict=True
    ):
        assert first.tolist() == second.tolist()
    series, rows = np.arange(len(SERIES_ROWS)), index.series_rows
    ranges, shifted = (one.ranges_within(series, rows * 0, rows) for one in (index, later))
    assert shifted.starts.tolist() == (ranges.starts + 1000).tolist()
    for wrong in (999, 1000 + len(index)):
        with pytest.raises(IndexError, match=rf"must lie in \[1000, {1000 + len(index)}\), found {wrong}"):
            later.locate([wrong])
        with pytest.raises(IndexError, match="must lie in"):
            later.locate_ascending(np.asarray([wrong]))
