"""The values of rows in all units: joined, taken, stored, and numbered over all units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.catalog.plain_arrays import arrays_of, plain_of
from h5lightning.planning.catalog.row_values import RowValues, code_type, joined_row_values
from h5lightning.planning.catalog.value_list import Value, ValueList

TEXT_ROWS = st.lists(st.sampled_from(["", "a", "b", "ä", "cc", None]), max_size=5)
NUMBER_ROWS = st.lists(st.sampled_from([-1, 0, 1, 200, 0.5, None]), max_size=5)


def of_rows(rows: list[Any], *, size: int = 1, is_text: bool = True, has_codes: bool = True) -> RowValues:
    known = sorted({value for value in rows if value is not None})
    codes = np.asarray([-1 if value is None else known.index(value) for value in rows], np.int64)
    values = ValueList.of_texts(known) if is_text else ValueList.of_numbers(np.asarray(known, float))
    return RowValues.of_unit(values, codes if has_codes else None, rows=len(rows) // size, row_size=size)


def rows_of(table: RowValues, unit: int) -> list[list[Value | None]] | None:
    codes, values = table.rows_of(unit), table.values(unit)
    if codes is None:
        return None
    return [[None if code < 0 else values[code] for code in row] for row in codes.tolist()]


def assert_same(table: RowValues, unit: int, alone: RowValues) -> None:
    assert rows_of(table, unit) == rows_of(alone, 0)
    assert list(table.values(unit)) == list(alone.values(0))
    assert table.problem(unit) == alone.problem(0)
    assert table.is_usable[unit] == alone.is_usable[0]
    assert table.unit_rows[unit] == alone.unit_rows[0]
    assert table.unit_row_sizes[unit] == alone.unit_row_sizes[0]


UNITS = st.lists(
    st.builds(of_rows, TEXT_ROWS)
    | st.builds(of_rows, NUMBER_ROWS, is_text=st.just(False), has_codes=st.booleans())
    | TEXT_ROWS.map(lambda rows: of_rows(rows * 2, size=2))
    | st.just(RowValues.broken("has no dataset '/label'")),
    min_size=1,
    max_size=6,
)


@given(UNITS, st.data())
def test_taken_units_have_their_values(units: list[RowValues], data: st.DataObject) -> None:
    joined = RowValues.joined(units)
    positions = np.asarray(data.draw(st.lists(st.integers(0, len(units) - 1))), np.int64)
    taken = joined.take(positions)
    for table in (taken, RowValues.from_arrays(arrays_of(plain_of(taken.arrays())))):
        for unit, position in enumerate(positions.tolist()):
            assert_same(table, unit, units[position])
    assert taken == RowValues.from_arrays(taken.arrays())
    digests = [values.digest() for values in taken.lists]
    assert len(set(digests)) == len(digests)  # each list once
    again = joined_row_values([{"label": taken}, {}, {"label": joined}])["label"]
    for unit, position in enumerate([*positions.tolist(), *range(len(units))]):
        assert_same(again, unit, units[position])


@given(st.lists(TEXT_ROWS, min_size=1, max_size=5), st.data())
def test_a_vocabulary_numbers_the_rows_of_all_its_units(
    units: list[list[str | None]], data: st.DataObject
) -> None:
    table = RowValues.joined([of_rows(rows) for rows in units])
    used = np.asarray(sorted(data.draw(st.sets(st.integers(0, len(units) - 1)))), np.int64)
    union, numbers = table.vocabulary(used)
    expected = sorted({value for unit in used.tolist() for value in units[unit] if value is not None})
    assert list(union) == expected
    for unit in used.tolist():
        codes = table.codes[table.first_code[unit] : table.first_code[unit] + table.unit_rows[unit]]
        classes = [numbers[table.first_value[unit] + code] if code >= 0 else -1 for code in codes.tolist()]
        assert classes == [-1 if value is None else expected.index(value) for value in units[unit]]


def test_codes_take_the_smallest_type_and_equal_lists_are_kept_once() -> None:
    few, many = of_rows(["a", "b"]), of_rows([str(number) for number in range(200)])
    assert few.codes.dtype == np.int8
    assert many.codes.dtype == np.int16
    table = RowValues.joined([few, many, few, of_rows(["b", "a", "a"])])
    assert table.codes.dtype == np.int16
    assert len(table.lists) == 2
    assert table.list_of.tolist() == [0, 1, 0, 0]
    assert [code_type(count).itemsize for count in (0, 128, 129, 2**15, 2**15 + 1, 2**31, 2**31 + 1)] == [
        *(1, 1, 2, 2, 4, 4, 8)
    ]
    # Units of one file share its column.
    shared = few.take(np.zeros(1000, np.int64))
    assert shared.codes.size == 2
    assert rows_of(shared, 999) == [["a"], ["b"]]


def test_kinds_tell_text_from_numbers() -> None:
    table = RowValues.joined(
        [of_rows(["a"]), of_rows([1], is_text=False), of_rows([None]), RowValues.broken("is no dataset")]
    )
    kinds = table.unit_kinds.tolist()
    assert kinds[0] == 0
    assert kinds[1] not in (0, 255)
    assert kinds[2:] == [255, 255]
    assert table.has_rows.tolist() == [True, True, True, False]


def test_parts_of_other_sizes_are_refused() -> None:
    values = ValueList.of_texts(["a"])
    with pytest.raises(ValueError, match="columns"):
        RowValues.of_unit(values, np.zeros(3, np.int8), rows=2)
