"""Columns of a table whose lines speak of rows: fields with a value for each row, and values that divide rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.options import Field, Samples, SingleField
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.row_values import RowValues, code_type
from h5lightning.planning.catalog.value_list import ValueList
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.field_kinds import rows_of_samples
from h5lightning.planning.field_spec import FieldSpec, StoredForm
from h5lightning.planning.fields import FieldPlan, JoinedField, RowField
from h5lightning.planning.joined_fields import plan_joined
from h5lightning.planning.kept_rows import KeptRows
from h5lightning.planning.ragged_fields import RunField
from h5lightning.planning.ragged_planning import SampleShape, ragged_of
from h5lightning.planning.tables.column_values import ColumnValues, column_values
from h5lightning.planning.tables.match_rows import RowLines
from h5lightning.planning.values.conversions import delivery_dtype

__all__ = ["RowColumns", "values_of_rows"]


@dataclass(frozen=True, slots=True, eq=False)
class RowColumns(Frozen):
    """Fields that are columns of a table, each row of which has a line.

    Args:
        catalog: the files.
        rows: the line of each row.
        fields: sample key → field; all of them columns.
        found: what each field delivers of each line.
        lacking: the fields that files of ``files.predict`` lack.
    """

    catalog: Catalog
    rows: RowLines
    fields: Mapping[str, Field]
    found: Mapping[str, ColumnValues]
    lacking: frozenset[str]

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        rows: RowLines,
        fields: Mapping[str, Field],
        units: tuple[Int64Array, Int64Array],
        dtype: str | None,
    ) -> RowColumns:
        """The columns of fields.

        Args:
            catalog: the files.
            rows: the line of each row.
            fields: sample key → field; those that are no columns are left out.
            units: the units that are labelled, and those of ``files.predict``.
            dtype: the type in which floating fields are delivered.

        Raises:
            FieldError: a line has no number, one that the delivered type cannot hold, or no category.
        """
        columns = {key: field for key, field in fields.items() if field.table_columns}
        labelled, predicted = (rows.lines_of(some) for some in units)
        lacking = {
            key
            for key, field in columns.items()
            if all(rows.lines.columns[name].is_empty[predicted].all() for name in field.table_columns)
        }
        found = {
            key: column_values(
                key, field, rows.lines, labelled, predicted[:0] if key in lacking else predicted, dtype
            )
            for key, field in columns.items()
        }
        return cls(catalog, rows, columns, found, frozenset(lacking))

    def plans(
        self, units: Int64Array, samples: Samples, lengths: Int64Array, dtype: str | None
    ) -> dict[str, FieldPlan]:
        """The plans of all fields.

        Args:
            units: the units that have these samples.
            samples: how samples lie in a series.
            lengths: rows of each unit of the catalog.
            dtype: the type in which floating fields are delivered.
        """
        compared = ComparedFiles(self.catalog, units, dtype, "raise", _none, _none_of)
        return {key: self._plan(compared, key, samples, lengths) for key in self.fields}

    def _plan(
        self, compared: ComparedFiles, key: str, samples: Samples, lengths: Int64Array
    ) -> RowField | JoinedField:
        field = self.fields[key]
        parts = [
            self._part(compared, key, part, place, samples, lengths)
            for place, part in enumerate(_parts(field))
        ]
        if not field.is_list:
            return parts[0]
        joined = plan_joined(key, field, parts)
        return replace(joined, spec=replace(joined.spec, columns=field.table_columns))

    def _part(
        self,
        compared: ComparedFiles,
        key: str,
        field: SingleField,
        place: int,
        samples: Samples,
        lengths: Int64Array,
    ) -> RowField:
        """The plan of one column."""
        found, keys, line_of = self.found[key], self.rows.keys, self.rows.line_of
        # No sample has a row without a line; what looks at all rows finds a value that is no error.
        nothing = found.values[self.rows.any_line, place] if found.names is not None else 0
        values = np.append(found.values[:, place], nothing)[line_of]
        rows = rows_of_samples(compared, key, field, samples, lengths, 0)
        shape = SampleShape(() if rows.steps is None else (rows.count,), (), None, rows.mean)
        classes = None if found.categories is None else found.categories.names
        options: dict[str, Any] = {
            "key": key,
            "path": field.path,
            "member": None,
            "asked": field,
            "categories": found.categories,
            "forms": (StoredForm(delivery_dtype(found.dtype).str),),
            "kept": KeptRows(keys.codes, keys.first_code, self.rows.first, values, found.names),
            "row_shape": (),
            "steps": rows.steps,
            "dilation": getattr(samples, "dilation", 1),
            "ragged": ragged_of(compared, key, field, samples, shape),
            "spec": FieldSpec(shape.lengths, found.dtype, classes),
        }
        return RowField(**options) if rows.runs is None else RunField(**options, runs=rows.runs)


def values_of_rows(
    rows: RowLines, texts: Sequence[str], number_of: Int64Array, *, is_filled: bool = False
) -> RowValues:
    """The text of the line of each row; missing where the line has none, or where the row has no line.

    Args:
        rows: the line of each row.
        texts: distinct texts.
        number_of: the number of the text of each line, -1 for none, ``(lines,)``.
        is_filled: give rows without a line the text of a row near them in their file.
    """
    keys, distinct = rows.keys, ValueList.of_texts(texts)
    of_lines = np.append(np.append(distinct.positions(texts), -1)[number_of], -1)
    kind = code_type(len(distinct))
    found = [np.zeros(0, kind)]
    columns, first = np.unique(keys.column_of, return_index=True)
    if len(columns) != len(keys.rows):
        raise ValueError(f"{len(keys.rows)} columns of keys, {len(columns)} of which belong to a unit")
    for unit in first.tolist():
        if keys.has_rows[unit]:
            lines = rows.of_unit(unit)
            lines = lines[_nearest(lines >= 0)] if is_filled and len(lines) else lines
            found.append(of_lines[lines].astype(kind))
    one = RowValues.of_unit(distinct, None)
    return replace(
        one,
        column_of=keys.column_of,
        rows=keys.rows,
        row_sizes=keys.row_sizes,
        has_codes=keys.has_codes,
        list_of=np.zeros(len(keys.rows), np.int64),
        problems=keys.problems,
        codes=np.concatenate(found),
    )


def _nearest(has_value: BoolArray) -> Int64Array:
    """For each row, the last one before it that has a value; the first one, where there is none before it."""
    before = np.maximum.accumulate(np.where(has_value, np.arange(len(has_value)), -1))
    return np.where(before < 0, int(np.argmax(has_value)), before)


def _parts(field: Field) -> list[SingleField]:
    """The field of each column."""
    options = {item.name: getattr(field, item.name) for item in dataclasses.fields(Field)}
    options |= {"join": "last", "whole": field if field.is_list else None}
    return [SingleField(**options | {"path": f"table:{name}"}) for name in field.table_columns]


_none: Callable[[int], tuple[str, ...]] = lambda _: ()  # noqa: E731 - nothing is looked for
_none_of: Callable[[int, str], tuple[str, ...]] = lambda _, __: ()  # noqa: E731 - as above
