"""Blocks of rows: each selected row once, in order, in runs that can be read, whatever the series and the split."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.core.bits import Bits
from h5lightning.core.string_table import StringTable
from h5lightning.options import Rows
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.passes.file_digests import file_digests
from h5lightning.planning.passes.row_blocks import RowBlocks, selected_counts
from h5lightning.planning.selection import RandomSubset, Selection


@st.composite
def divided(draw):
    """An index whose units hold some series each, with gaps between them, and a selection of its rows."""
    series_of_unit = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=4)
    units = draw(st.lists(series_of_unit, min_size=1, max_size=5))
    file, rows, unit, start, lengths = [], [], [], [], []
    for number, series in enumerate(units):
        at = 0
        for gap, length in series:
            at += gap
            file.append(number)
            unit.append(number)
            rows.append(length)
            start.append(at)
            at += length
        lengths.append(at)
    index = SampleIndex(
        "/",
        StringTable.of([f"{number}.h5" for number in range(len(units))]),
        *(np.asarray(one, np.int64) for one in (file, rows)),
        Rows(),
        series_unit=np.asarray(unit, np.int64),
        series_start=np.asarray(start, np.int64),
        unit_texts=StringTable.of(["" for _ in units]),
        unit_rows=np.asarray(lengths, np.int64),
    )
    total = len(index)
    kind = draw(st.sampled_from(["all", "ranges", "subset", "kept"]))
    if kind == "all":
        return index, None
    cuts = sorted(draw(st.lists(st.integers(0, total), max_size=8)))
    cuts = cuts[: len(cuts) // 2 * 2]
    ranges = SampleRanges(np.asarray(cuts[::2], np.int64), np.asarray(cuts[1::2], np.int64))
    size = len(ranges)
    if kind == "subset" and size:
        slices = SampleRanges(np.zeros(1, np.int64), np.asarray([draw(st.integers(0, size))]))
        return index, Selection(ranges, RandomSubset(draw(st.integers(0, 99)), slices))
    if kind == "kept":
        bools = np.asarray(draw(st.lists(st.booleans(), min_size=size, max_size=size)), np.bool_)
        return index, Selection(ranges, kept=Bits.of_bools(bools))
    return index, Selection(ranges)


def chosen_ids(index, selection):
    every = np.arange(len(index))
    return every if selection is None else np.sort(selection(np.arange(len(selection))))


@settings(max_examples=300, deadline=None)
@given(
    data=divided(),
    chunk=st.integers(1, 13),
    piece_rows=st.integers(1, 60),
    block_rows=st.integers(1, 40),
    crosses=st.booleans(),
    keeps=st.booleans(),
    is_by_entry=st.booleans(),
)
def test_each_selected_row_is_in_one_block(data, chunk, piece_rows, block_rows, crosses, keeps, is_by_entry):
    index, selection = data
    units = len(index.rows_of_units)
    blocks = RowBlocks(
        index,
        selection,
        np.full(units, chunk, np.int64),
        piece_rows,
        block_rows,
        crosses_series=crosses and not keeps,
        keeps_units=keeps,
        is_by_entry=is_by_entry,
    )
    pieces = blocks.pieces(np.arange(len(index.names)))
    tasks = blocks.tasks(pieces)
    assert [number for task in tasks for number in task] == list(range(len(pieces)))
    found = []
    for task in tasks:
        for block in blocks.of(pieces, task):
            ids = block.row_ids()
            found.append(ids)
            where = index.locate(ids)
            row = where.row + index.series_start[where.series]
            assert [part.start for part in block.parts] == [0, *(part.stop for part in block.parts[:-1])]
            assert block.parts[-1].stop == len(ids)
            for part in block.parts:
                piece = pieces[part.piece]
                own = slice(part.start, part.stop)
                assert part.piece in task
                assert (where.file[own] == piece.file).all()
                assert ((ids[own] >= piece.start) & (ids[own] < piece.stop)).all()
            assert block.run == 1 or not is_by_entry
            if block.run > 1:
                # Each run lies in one unit, in one series unless series follow each other; several are chunks.
                every = (block.ids[:, None] + np.arange(block.run)).reshape(-1)
                place = index.locate(every)
                in_unit = (place.row + index.series_start[place.series]).reshape(-1, block.run)
                assert (np.diff(in_unit, axis=1) == 1).all()
                assert len(block.ids) == 1 or (in_unit[:, 0] % chunk == 0).all()
                same = index.units if crosses and not keeps else np.arange(len(index.units))
                assert (np.diff(same[place.series].reshape(-1, block.run), axis=1) == 0).all()
            if keeps:
                assert len({int(index.units[one]) for one in where.series}) == 1
                assert len(block.parts) == 1
            assert (np.diff(row[where.series == where.series[0]]) > 0).all()
    ids = np.concatenate([*found, np.zeros(0, np.int64)])
    assert ids.tolist() == chosen_ids(index, selection).tolist()


@settings(max_examples=150, deadline=None)
@given(data=divided())
def test_rows_between_borders_are_counted(data):
    index, selection = data
    ids = chosen_ids(index, selection)
    expected = np.diff(ids.searchsorted(index.first_id))
    assert selected_counts(selection, index.first_id).tolist() == expected.tolist()


class _Files:
    """What digests ask a catalog for."""

    sources: tuple[str, ...] = ()

    def __init__(self, count):
        self.stamps = np.arange(4 * count).reshape(count, 4)


@settings(max_examples=150, deadline=None)
@given(data=divided(), other=divided())
def test_equal_rows_of_a_file_have_equal_digests(data, other):
    index, selection = data
    files = np.arange(len(index.names))
    digests = file_digests(_Files(len(files)), index, selection, files)
    again = file_digests(_Files(len(files)), index, selection, files)
    assert digests.tolist() == again.tolist()
    stamped = _Files(len(files))
    stamped.stamps[0, 1] += 1
    changed = (file_digests(stamped, index, selection, files) != digests).any(axis=1)
    assert changed.tolist() == [True, *[False] * (len(files) - 1)]
    # Of other rows: different digests, unless the rows of the file are the same.
    if selection is None or selection.subset is not None:
        return
    fewer = Selection(selection.ranges, kept=Bits.of_bools(np.zeros(len(selection.ranges), np.bool_)))
    before = np.diff(chosen_ids(index, selection).searchsorted(index.first_id[index.first_series]))
    differs = (file_digests(_Files(len(files)), index, fewer, files) != digests).any(axis=1)
    assert not (~differs & (before > 0)).any()
