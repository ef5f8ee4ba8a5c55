"""Whether the numbers of an index are ends or offsets, and whether they fit the values and the other fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.errors import OptionError, SchemaError
from h5lightning.options import Field, Rows, SingleField, Whole, Windows
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.row_index import IndexTable
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.series.row_index import (
    OtherRows,
    check_row_index,
    deciding_field,
    index_problems,
    row_index_of,
    with_known_ends,
)

FIELD = SingleField("v", index="i")
LENGTHS = st.lists(st.integers(0, 3), max_size=5)


def table_of(numbers: Sequence[int]) -> IndexTable:
    return IndexTable.of_unit(np.asarray(numbers, np.int64), must_be_ends=bool(numbers and numbers[0]))


def catalog_of(
    *tables: IndexTable | Sequence[int], values: Sequence[int] | None = None, rows: int = 0
) -> Catalog:
    """Files a, b, …, each with an index ``i``, values ``v`` of these lengths, and ``rows`` rows of ``y``."""
    found = [one if isinstance(one, IndexTable) else table_of(one) for one in tables]
    lengths = [int(one.ends[0]) for one in found] if values is None else values
    schemas = [
        FileSchema(
            (DatasetSchema("v", "<f4", (length, 2)), DatasetSchema("y", "<f4", (rows,))),
            row_indexes={"i": one},
        )
        for length, one in zip(lengths, found, strict=True)
    ]
    names = [f"{chr(ord('a') + number)}.h5" for number in range(len(found))]
    return Catalog.of("/data", names, np.zeros((len(found), 4)), schemas)


def numbers_of(lengths: list[int], *, offsets: bool) -> list[int]:
    ends = np.cumsum(lengths).astype(int).tolist()
    return [0, *ends] if offsets else ends


def read(catalog: Catalog, rows: list[int] | None) -> tuple[list[list[tuple[int, int]]], tuple[str, ...]]:
    """The rows of each unit, and the remarks."""
    every, told = np.arange(catalog.unit_count), None if rows is None else np.asarray(rows, np.int64)
    others = None if told is None else OtherRows("y", told)
    counts, remarks = check_row_index(catalog, every, FIELD, others, "x")
    index = row_index_of(catalog, every, FIELD, told)
    assert index.counts.tolist() == counts.tolist()
    units = [
        range(first, first + count)
        for first, count in zip(index.first.tolist(), counts.tolist(), strict=True)
    ]
    return [[(int(index.starts[p]), int(index.lengths[p])) for p in unit] for unit in units], remarks


def message(catalog: Catalog, rows: list[int] | None) -> str:
    with pytest.raises(SchemaError) as caught:
        read(catalog, rows)
    return str(caught.value)


@given(st.lists(st.tuples(LENGTHS, st.booleans()), min_size=1, max_size=4))
def test_rows_of_other_fields_tell_ends_and_offsets_apart(files: list[tuple[list[int], bool]]) -> None:
    catalog = catalog_of(*(numbers_of(lengths, offsets=offsets) for lengths, offsets in files))
    found, remarks = read(catalog, [len(lengths) for lengths, _ in files])
    assert found == [
        [(sum(lengths[:row]), length) for row, length in enumerate(lengths)] for lengths, _ in files
    ]
    assert remarks == ()


@given(st.lists(LENGTHS, min_size=1, max_size=4), st.booleans())
def test_without_other_fields_a_leading_0_in_all_files_means_offsets(
    files: list[list[int]], offsets: bool
) -> None:
    tables = [numbers_of(lengths, offsets=offsets) for lengths in files]
    found, remarks = read(catalog_of(*tables), None)
    are_offsets = all(not table or table[0] == 0 for table in tables)
    for table, rows in zip(tables, found, strict=True):
        ends = table[1:] if are_offsets else table
        starts = [0, *ends[:-1]] if ends else []
        assert rows == [(start, end - start) for start, end in zip(starts, ends, strict=True)]
    assert bool(remarks) == (are_offsets and any(tables))


def test_a_remark_says_what_only_a_leading_0_told() -> None:
    (remark,) = read(catalog_of([0, 3, 7]), None)[1]
    assert "the 3 numbers of '/i' begin with 0" in remark
    assert "offsets of 2 rows" in remark


def test_a_vector_index_has_ends_whatever_it_begins_with() -> None:
    vector = IndexTable.of_unit(np.asarray([0, 3, 7]), must_be_ends=True)
    assert read(catalog_of(vector), None) == ([[(0, 0), (0, 3), (3, 4)]], ())
    assert [len(rows) for rows in read(catalog_of([0, 3], vector), None)[0]] == [2, 3]


def test_the_first_index_that_says_ends_is_the_surest() -> None:
    assert deciding_field(catalog_of([0, 3]), [("x", FIELD)]) == ("x", FIELD)
    schema = FileSchema(
        (DatasetSchema("v", "<f4", (3,)),),
        row_indexes={"i": table_of([0, 3]), "j": table_of([1, 3])},
    )
    catalog = Catalog.of("/data", ["a.h5"], np.zeros((1, 4)), [schema])
    other = SingleField("v", index="j")
    assert deciding_field(catalog, [("x", FIELD), ("z", other)]) == ("z", other)


@pytest.mark.parametrize(
    ("numbers", "values", "rows", "expected"),
    [
        (
            [2, 7],
            8,
            [2],
            "the last entry of '/i', [1], is 7, expected 8, the length of '/v', which it divides",
        ),
        ([2, 7], 8, [2], "write them plus 1"),
        ([2, 7], 5, None, "is 7, expected 5, the length of '/v'"),
        ([], 5, [0], "'/i' has no entries, and '/v' has 5"),
        (
            [2, 7],
            7,
            [3],
            "'/i' has 2 entries, expected 3, the end of each row, or 4 offsets: '/y' has 3 rows",
        ),
        ([0, 2, 7], 7, [1], "expected 1, the end of each row, or 2 offsets"),
        ([1, 2, 7], 7, [2], "one more than the 2 rows of '/y', and begins with 1, expected 0"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(
    numbers: list[int], values: int, rows: list[int] | None, expected: str
) -> None:
    text = message(catalog_of(numbers, values=[values]), rows)
    assert text.startswith("field 'x': /data/a.h5: ")
    assert expected in text


def test_all_files_with_a_problem_are_counted() -> None:
    good, bad = [2, 4], IndexTable.broken("'/i' does not ascend: entry 1 is 2, after 4")
    catalog = catalog_of(good, bad, bad, values=[4, 4, 4])
    text = message(catalog, [2, 2, 2])
    assert "/data/b.h5: '/i' does not ascend" in text
    assert text.endswith("(and 1 more file)")
    every, others = np.arange(3), OtherRows("y", np.asarray([2, 2, 2]))
    found = dict(index_problems(catalog, every, FIELD, others))
    assert list(found) == [1, 2]
    assert found[2] == "'/i' does not ascend: entry 1 is 2, after 4"


def test_a_missing_index_is_named_with_what_is_there() -> None:
    catalog = catalog_of(IndexTable.broken("holds no dataset '/i'"), values=[4])
    with pytest.raises(SchemaError, match=r"/data/a.h5 holds no dataset '/i'; did you mean 'ii'"):
        check_row_index(catalog, np.arange(1), FIELD, None, "x", names_in=lambda _: ["ii", "other"])


def test_only_the_units_in_question_are_checked() -> None:
    catalog = catalog_of([2, 4], IndexTable.broken("holds no dataset '/i'"), values=[4, 4])
    counts, _ = check_row_index(catalog, np.arange(1), FIELD, None, "x")
    assert counts[0] == 2
    index = row_index_of(catalog, np.arange(1), FIELD, None)
    assert index.counts.tolist() == [2, 0]


def test_what_other_fields_told_holds_in_files_that_lack_them() -> None:
    """Both files hold the ends of three rows, of which the first is empty; only the first file has labels."""
    catalog = catalog_of([0, 3, 7], [0, 1, 2])
    assert [len(rows) for rows in read(catalog, None)[0]] == [2, 2]
    fields = {"x": Field("v", index="i"), "y": Field("y")}
    told = with_known_ends(catalog, fields, np.asarray([3, 0]), np.asarray([0]))
    assert [len(rows) for rows in read(told, None)[0]] == [3, 3]
    as_offsets = with_known_ends(catalog, fields, np.asarray([2, 0]), np.asarray([0]))
    assert [len(rows) for rows in read(as_offsets, None)[0]] == [2, 2]
    assert with_known_ends(catalog, {"y": Field("y")}, np.asarray([3, 0]), np.asarray([0])) == catalog


def test_a_catalog_without_the_index_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="without the index 'other'"):
        row_index_of(catalog_of([1]), np.arange(1), SingleField("v", index="other"), None)


# ── in the plan of all fields ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("samples", [Windows(2), Whole()])
def test_rows_of_an_index_are_single_rows(samples: Windows | Whole) -> None:
    with pytest.raises(OptionError, match=r"index='i', a row is an entry of the index.*samples=Rows\(\)"):
        plan_fields(catalog_of([2, 4]), {"x": Field("v", index="i")}, samples)


def test_an_index_with_a_star_needs_values_with_one() -> None:
    with pytest.raises(OptionError, match=r"index='\*/i' holds a '\*', but 'v' does not"):
        plan_fields(catalog_of([2, 4]), {"x": Field("v", index="*/i")}, Rows())


def test_other_fields_need_as_many_rows_as_the_index() -> None:
    fields = {"x": Field("v", index="i", ragged="list"), "y": Field("y")}
    with pytest.raises(SchemaError, match="'/i' has 2 entries, expected 3"):
        plan_fields(catalog_of([2, 4], rows=3), fields, Rows())


def test_a_constant_field_of_an_index_needs_no_rows_in_common() -> None:
    fields = {"x": Field("v", index="i", constant=True, ragged="list"), "y": Field("y")}
    with pytest.raises(SchemaError, match="the last entry of '/i'"):
        plan_fields(catalog_of([2, 4], rows=3, values=[5]), fields, Rows())
