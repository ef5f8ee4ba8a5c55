"""The numbers of indexes in all units: joined, taken, stored, and divided into rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.plain_arrays import arrays_of, plain_of
from h5lightning.planning.catalog.row_index import IndexTable, RowIndex, joined_indexes

LENGTHS = st.lists(st.integers(0, 4), max_size=6)


def table(lengths: list[int], *, offsets: bool = False) -> IndexTable:
    ends = np.cumsum(np.asarray(lengths, np.int64))
    return IndexTable.of_unit(
        np.concatenate([[0], ends]) if offsets else ends, must_be_ends=bool(lengths and lengths[0])
    )


def rows_of(index: RowIndex, unit: int) -> list[tuple[int, int]]:
    own = slice(int(index.first[unit]), int(index.first[unit] + index.counts[unit]))
    return list(zip(index.starts[own].tolist(), index.lengths[own].tolist(), strict=True))


def expected_rows(lengths: list[int]) -> list[tuple[int, int]]:
    return [(sum(lengths[:row]), length) for row, length in enumerate(lengths)]


@given(st.lists(st.tuples(LENGTHS, st.booleans()), min_size=1, max_size=5), st.data())
def test_ends_and_offsets_make_the_same_rows(
    units: list[tuple[list[int], bool]], data: st.DataObject
) -> None:
    joined = IndexTable.joined([table(lengths, offsets=offsets) for lengths, offsets in units])
    numbers = st.integers(0, len(units) - 1)
    planned = np.asarray(sorted(data.draw(st.sets(numbers))), np.int64)
    index = RowIndex.of(joined, planned, np.asarray([offsets for _, offsets in units]))
    for unit, (lengths, _) in enumerate(units):
        assert rows_of(index, unit) == (expected_rows(lengths) if unit in planned else [])
    assert index.starts.dtype == index.lengths.dtype == np.int64
    assert len(index.starts) == len(index.lengths) == index.counts.sum()


@given(st.lists(LENGTHS, min_size=1, max_size=5), st.data())
def test_taken_units_have_their_tables(units: list[list[int]], data: st.DataObject) -> None:
    parts = [table(lengths) for lengths in units]
    parts[0] = IndexTable.broken("holds no dataset '/i'")
    positions = np.asarray(data.draw(st.lists(st.integers(0, len(units) - 1))), np.int64)
    taken = IndexTable.joined(parts).take(positions)
    alone = [parts[position] for position in positions.tolist()]
    assert [taken.problems[number] for number in taken.table_of.tolist()] == [
        one.problems[0] for one in alone
    ]
    for unit, one in enumerate(alone):
        number = int(taken.table_of[unit])
        own = slice(taken.first_number[number], taken.first_number[number + 1])
        assert taken.numbers[own].tolist() == one.numbers.tolist()
        assert taken.must_be_ends[number] == one.must_be_ends[0]
        assert (taken.begins[number], taken.ends[number]) == (one.begins[0], one.ends[0])
    assert len(taken.numbers) <= sum(len(lengths) for lengths in units)  # each table once
    assert IndexTable.from_arrays(arrays_of(plain_of(taken.arrays()))) == taken


def test_units_of_one_table_share_its_rows() -> None:
    shared = table([3, 0, 4]).take(np.zeros(1000, np.int64))
    assert (len(shared.numbers), len(shared.table_of)) == (3, 1000)
    index = RowIndex.of(shared, np.arange(1000), np.zeros(1000, bool))
    assert len(index.starts) == 3
    assert rows_of(index, 0) == rows_of(index, 999) == [(0, 3), (3, 0), (3, 4)]


def test_units_of_one_table_that_read_it_differently() -> None:
    shared = table([3, 4], offsets=True).take(np.zeros(2, np.int64))
    index = RowIndex.of(shared, np.arange(2), np.asarray([True, False]))
    assert rows_of(index, 0) == [(0, 3), (3, 4)]
    assert rows_of(index, 1) == [(0, 0), (0, 3), (3, 4)]


def test_catalogs_without_files_have_no_indexes() -> None:
    assert joined_indexes([]) == joined_indexes([{}, {}]) == {}
    one = {"i": table([2])}
    assert joined_indexes([{}, one]) == one
    assert joined_indexes([one, one])["i"].table_of.tolist() == [0, 1]


def test_parts_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="1 tables with 2 numbers"):
        dataclasses.replace(table([1, 2]), numbers=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="1 tables"):
        dataclasses.replace(table([1]), problems=StringTable.of(()))
