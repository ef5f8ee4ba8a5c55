"""The rows of unequal length that an index makes of a dataset: read as ends or as offsets, and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.errors import SchemaError
from h5lightning.options import Field, SingleField
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.row_index import IndexTable, RowIndex

__all__ = [
    "OtherRows",
    "check_row_index",
    "deciding_field",
    "index_problems",
    "row_index_of",
    "rows_by_index",
    "with_known_ends",
]

_LACKS = "holds no dataset"


@dataclass(frozen=True, slots=True, eq=False)
class OtherRows:
    """The rows of the other fields, which tell ends (n) and offsets (n + 1) apart.

    Args:
        path: the dataset of one of them, for messages.
        rows: its rows in each unit of the catalog, ``(units,)``.
    """

    path: str
    rows: Int64Array


def row_index_of(
    catalog: Catalog, units: Int64Array, field: SingleField, rows: Int64Array | None
) -> RowIndex:
    """The rows that the index of a field divides its dataset into, once `check_row_index` has passed.

    Args:
        catalog: the numbers of the index.
        units: the units to plan, ascending.
        field: the field.
        rows: rows of each unit of the catalog; None for a constant field.
    """
    check = _Check(catalog, field, None if rows is None else OtherRows("", rows))
    return RowIndex.of(check.table, units, check.is_offsets)


def check_row_index(
    catalog: Catalog,
    units: Int64Array,
    field: SingleField,
    others: OtherRows | None,
    key: str,
    *,
    names_in: Callable[[int], Sequence[str]] = lambda _: (),
) -> tuple[Int64Array, tuple[str, ...]]:
    """Raise unless the index of a field divides its dataset, into the rows of the other fields.

    As many numbers as other fields have rows are the ends of rows; one more, which begin with 0, are offsets. Without
    other fields, numbers are offsets if they begin with 0 in all units and are no VectorIndex of NWB.

    Args:
        catalog: the numbers of the index, and the length of the dataset.
        units: the units to check, ascending.
        field: the field, which the units have.
        others: the rows of the other fields; None if no other field has rows, or for a constant field.
        key: key of the field, for messages.
        names_in: the datasets of a unit, for the error of a missing one.

    Returns:
        The rows of each unit of the catalog, ``(units of the catalog,)``, and remarks if only a leading 0 tells that
        the numbers are offsets.

    Raises:
        SchemaError: the index of a unit is missing, holds impossible numbers, or does not fit the dataset or the rows.
    """
    check = _Check(catalog, field, others)
    bad = units[check.are_bad[units]]
    if bad.size:
        unit = int(bad[0])
        problem, where = check.problem(unit), f"{catalog.where(unit)}:"
        if problem.startswith(_LACKS):
            problem += did_you_mean(catalog.with_text(unit, field.index or ""), names_in(unit))
            where = where[:-1]
        raise SchemaError(f"field {key!r}: {where} {problem}{catalog.more(bad)}")
    return check.rows, check.remarks(key, units)


def index_problems(
    catalog: Catalog, units: Int64Array, field: SingleField, others: OtherRows | None
) -> Iterator[tuple[int, str]]:
    """The units whose index does not divide the dataset of a field, each with the reason as a sentence about it."""
    check = _Check(catalog, field, others)
    return ((unit, check.problem(unit)) for unit in units[check.are_bad[units]].tolist())


def rows_by_index(catalog: Catalog, field: SingleField) -> Int64Array:
    """Rows of each unit of the catalog, as the index alone says it, ``(units,)``; of unusable ones, what they hold."""
    return _Check(catalog, field, None).rows


def with_known_ends(
    catalog: Catalog, fields: Mapping[str, Field], rows: Int64Array, units: Int64Array
) -> Catalog:
    """The catalog, in which each index says itself that it has ends if the rows of some units say so.

    So the same index is read alike in other files, which may lack the fields that tell.

    Args:
        catalog: the numbers of indexes.
        fields: the fields.
        rows: rows of each unit of the catalog.
        units: the units in which all fields have these rows.
    """
    told = dict(catalog.row_indexes)
    for path in {field.index for field in fields.values() if field.index and not field.constant}:
        table = told[path]
        numbers = table.table_of[units]
        has_ends = numbers[(table.counts[numbers] == rows[units]) & (rows[units] > 0)]
        must_be_ends = table.must_be_ends.copy()
        must_be_ends[has_ends] = True
        told[path] = replace(table, must_be_ends=must_be_ends)
    return replace(catalog, row_indexes=told)


def deciding_field(catalog: Catalog, fields: Sequence[tuple[str, SingleField]]) -> tuple[str, SingleField]:
    """Of fields with an index, the first whose index says itself that it has ends; else the first."""
    sure = (one for one in fields if _table(catalog, one[1]).must_be_ends.any())
    return next(sure, fields[0])


class _Check:
    """Compares the index of a field in all units with its dataset, and with the rows of other fields."""

    def __init__(self, catalog: Catalog, field: SingleField, others: OtherRows | None) -> None:
        self.table = table = _table(catalog, field)
        self._catalog, self._field, self._others = catalog, field, others
        self._counts, self._ends = table.counts[table.table_of], table.ends[table.table_of]
        self._values = catalog.facts_of(field.path)[:, 0]
        may_be_offsets = (table.counts > 0) & (table.begins == 0)
        if others is None:
            is_told = bool((table.must_be_ends & table.is_usable).any())
            self.is_offsets: BoolArray = (may_be_offsets & (not is_told))[table.table_of]
        else:
            self.is_offsets = may_be_offsets[table.table_of] & (self._counts == others.rows + 1)

    @property
    def are_bad(self) -> BoolArray:
        """Whether the index of each unit cannot be used, ``(units,)``."""
        are_bad: BoolArray = ~self.table.is_usable[self.table.table_of] | (self._ends != self._values)
        if self._others is not None:
            are_bad = are_bad | (self.rows != self._others.rows)
        return are_bad

    @property
    def rows(self) -> Int64Array:
        """Rows of each unit, ``(units,)``."""
        rows: Int64Array = self._counts - self.is_offsets
        return rows

    def problem(self, unit: int) -> str:
        """Why the index of a unit does not divide its dataset, as a sentence about the unit."""
        table, path, index = self.table, f"'/{self._field.path}'", f"'/{self._field.index}'"
        number = int(table.table_of[unit])
        if problem := table.problems[number]:
            return problem
        count, end, values = int(self._counts[unit]), int(self._ends[unit]), int(self._values[unit])
        if not count and values:
            problem = f"{index} has no entries, and {path} has {values:,}: an index needs the end of each row"
        elif end != values:
            last_row = (
                ". Where entries are the last of each row, write them plus 1" if end == values - 1 else ""
            )
            problem = (
                f"the last entry of {index}, [{max(0, count - 1)}], is {end}, expected {values}, the length of {path}, "
                f"which it divides{last_row}"
            )
        else:
            problem = self._unequal(number, unit, index)
        return self._catalog.with_text(unit, problem)

    def _unequal(self, table: int, unit: int, index: str) -> str:
        """Why the numbers of an index fit no rows of other fields."""
        if self._others is None:
            return ""
        count, rows, other = int(self._counts[unit]), int(self._others.rows[unit]), self._others.path
        if count == rows + 1:
            return (
                f"{index} has {count} entries, one more than the {rows} rows of '/{other}', and begins with "
                f"{self.table.begins[table]}, expected 0: n + 1 offsets begin with 0. Or write the {rows} ends alone"
            )
        return (
            f"{index} has {count} entries, expected {rows}, the end of each row, or {rows + 1} offsets: '/{other}' has "
            f"{rows} rows. Choose the index that divides '/{self._field.path}' into these rows, or leave one of both "
            f"fields out; {self._field.text(constant=True, ragged='list')} gives all entries to each sample"
        )

    def remarks(self, key: str, units: Int64Array) -> tuple[str, ...]:
        """How the numbers were read, if only a leading 0 tells it."""
        read = units[self.is_offsets[units]]
        if self._others is not None or not read.size:
            return ()
        unit = int(read[0])
        index, count = self._catalog.with_text(unit, f"'/{self._field.index}'"), int(self._counts[unit])
        remark = (
            f"field {key!r}: the {count:,} numbers of {index} begin with 0, so they are read as the offsets of "
            f"{count - 1:,} rows. If they are the ends of {count:,} rows, of which the first one is empty, add a field "
            "with a value for each row"
        )
        return (remark,)


def _table(catalog: Catalog, field: SingleField) -> IndexTable:
    table = catalog.row_indexes.get(field.index or "")
    if table is None:
        raise ValueError(f"the catalog was scanned without the index {field.index!r}")
    return table
