"""What the files of a plan store of one field: the same in all of them, or an error that names the first difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.core.formatting import counted
from h5lightning.errors import (
    MissingDataError,
    MissingFieldError,
    OptionError,
    SchemaError,
    UnsupportedFieldError,
)
from h5lightning.options import SingleField
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.row_index import RowIndex
from h5lightning.planning.catalog.schema import DatasetSchema, Member, member_text
from h5lightning.planning.catalog.schema_difference import explain_difference
from h5lightning.planning.categories import as_classes, check_read, refusal_remedy, row_values_of
from h5lightning.planning.conventions.encoding_checks import DECODED_DTYPE, is_type_said
from h5lightning.planning.conventions.error_parts import stored_remedy
from h5lightning.planning.encoded_field import Encoded, FirstBytes
from h5lightning.planning.series.axes import row_numbers_of, rows_seen
from h5lightning.planning.series.row_index import row_index_of
from h5lightning.planning.values.categories import Categories
from h5lightning.planning.values.conversions import wider_type

__all__ = ["AttributeList", "ComparedFiles", "NameList", "check_column", "no_first_bytes"]

NameList = Callable[[int], Sequence[str]]
AttributeList = Callable[[int, str], Sequence[str]]

_MOST_LISTED = 12


def no_first_bytes(key: str, field: SingleField, encoded: Encoded, units: Int64Array) -> Sequence[bytes]:  # noqa: ARG001
    """Raise `OptionError`: images cannot be planned without reading some of them."""
    raise OptionError(f"field {key!r}: decode={field.decode!r} needs files whose values may be read")


@dataclass(frozen=True, slots=True, eq=False)
class ComparedFiles:
    """The files that must agree in each field, and what the user said; see `plan_fields`.

    Args:
        categories: the categories of each field that has some.
        checks_rows: whether a row without a category is an error now, and not only when it is delivered.
    """

    catalog: Catalog
    files: Int64Array
    dtype: str | None
    on_missing: str
    names_in: NameList
    attrs_in: AttributeList
    categories: Mapping[str, Categories] = dataclasses.field(default_factory=dict)
    checks_rows: bool = True
    first_bytes: FirstBytes = no_first_bytes
    _row_indexes: dict[tuple[str | None, bool], RowIndex] = dataclasses.field(default_factory=dict)

    def rows(self, key: str, field: SingleField) -> Int64Array:
        """Rows of a field in each file of the catalog, once the field was checked."""
        self.schema(key, field)
        self.check_written(field)
        return self.catalog.rows_of(field.path, row_numbers_of(field).row_axes)

    def row_index(self, field: SingleField, rows: Int64Array | None) -> RowIndex:
        """The rows of a field with an index, once planning has compared it; fields of one index share them.

        Args:
            field: the field.
            rows: rows of each unit of the catalog; None for a constant field.
        """
        kind = field.index, rows is None
        if kind not in self._row_indexes:
            self._row_indexes[kind] = row_index_of(self.catalog, self.files, field, rows)
        return self._row_indexes[kind]

    def check_written(self, field: SingleField) -> None:
        """Raise `MissingDataError` if chunks were never written, unless the user accepts the fill value."""
        facts = self.catalog.facts_of(field.path)
        never_written = self.files[facts[self.files, 2] > 0]
        if never_written.size and self.on_missing == "raise":
            file = int(never_written[0])
            missing = f"{counted(int(facts[file, 2]), 'chunk')} never written"
            raise MissingDataError(
                f"'/{field.path}' in {self.catalog.where(file)} has {missing}{self.catalog.more(never_written)}: HDF5 "
                "would return its fill value. Write them, leave the file out, or accept the fill value with "
                "access.on_missing='fill'"
            )

    def schema(self, key: str, field: SingleField) -> DatasetSchema:
        """The dataset of a field, which all files store alike in what a batch needs.

        Raises:
            MissingFieldError: a file has no such dataset or column.
            UnsupportedFieldError: no tensor can hold it.
            SchemaError: two files differ.
        """
        layouts, first, _ = distinct(self.catalog.layout_of[self.files])
        reference_file = int(self.files[first[0]])
        reference = self.dataset(key, field, reference_file)
        for layout, file in zip(layouts[1:].tolist(), self.files[first[1:]].tolist(), strict=True):
            dataset = self.dataset(key, field, file)
            is_converted = is_type_said(field, self.dtype, dataset, reference)
            if difference := explain_difference(
                dataset,
                reference,
                field.member,
                any_type=is_converted,
                any_categories=field.decode == "stored",
                any_shape=field.may_differ or field.is_encoded,
            ):
                column = f" (column {field.member!r})" if field.member else ""
                raise SchemaError(
                    f"'/{field.path}'{column} in {self.catalog.where(file)} {difference} as in "
                    f"{self.catalog.where(reference_file)}{self._how_many(layout)}. "
                    f"{_remedy_of(field, dataset, reference, is_converted=is_converted)}"
                )
        return reference

    def delivered_dtype(self, key: str, field: SingleField, stored: str) -> str:
        """The name of the type that a field is delivered in, if ``stored`` is the NumPy type string of its elements."""
        dtype = np.dtype(stored)
        is_floating = dtype.kind == "f" or field.decode == "cf"
        delivered = field.dtype or (self.dtype if is_floating else None)
        delivered = delivered or (DECODED_DTYPE if field.decode == "cf" else dtype.name)
        if dtype.kind == "c" and not delivered.startswith("complex"):
            raise OptionError(
                f"field {key!r}: complex numbers cannot be delivered as {delivered}; use a transform"
            )
        return delivered

    def _missing_text(self, field: SingleField, unit: int) -> str:
        """The path that a unit lacks, and what others have or the file holds instead."""
        catalog = self.catalog
        if catalog.matches is None or "*" not in field.path:
            return f"'/{field.path}'{did_you_mean(field.path, self.names_in(unit))}"
        siblings = catalog.units_of(catalog.unit_files[[unit]])
        having = int((catalog.facts_of(field.path)[siblings, 0] > -2).sum())
        path = catalog.with_text(unit, field.path)
        if not having:
            near = did_you_mean(field.path, self.names_in(unit))
            others = len(siblings) - 1
            more = f", and neither do the other {others:,} series of this file" if others else ""
            return f"'/{path}'{more}{near}"
        return (
            f"'/{path}', which {having:,} of {counted(len(siblings), 'series')} of this file hold. Each series needs "
            "all fields with rows: write what is missing, rename what is no series so that the '*' does not match it "
            "(such as 'demo_*'), or leave the file out with access.on_bad_file='skip'"
        )

    def _how_many(self, layout: int) -> str:
        alike = int((self.catalog.layout_of[self.files] == layout).sum())
        return f" ({alike:,} of {counted(len(self.files), self.catalog.noun)} have this layout)"

    def dataset(self, key: str, field: SingleField, file: int) -> DatasetSchema:
        """The dataset of a field in one file.

        Raises:
            MissingFieldError: there is no such dataset or column.
            UnsupportedFieldError: no tensor can hold it.
        """
        layout = self.catalog.layouts[int(self.catalog.layout_of[file])]
        dataset = next((dataset for dataset in layout if dataset.path == field.path), None)
        where = self.catalog.where(file)
        if dataset is None:
            raise MissingFieldError(
                f"field {key!r}: {where} holds no dataset {self._missing_text(field, file)}"
            )
        dtype = dataset.dtype
        if field.categories is not None:
            check_read(self.catalog, key, field, file)
            values = row_values_of(self.catalog, field)
            is_known = values is not None and bool(values.has_rows[file])
            row_size = int(values.unit_row_sizes[file]) if values is not None and is_known else None
            dataset = as_classes(dataset, field, row_size)
        dataset = dataset.seen_as(encoded=field.is_encoded)
        if dataset.refusal:
            refusal = self.catalog.with_text(file, dataset.refusal)
            more = refusal_remedy(field, dtype, refusal)
            raise UnsupportedFieldError(f"field {key!r}: '/{field.path}' in {where} {refusal}{more}")
        if not dataset.shape and not field.constant:
            raise UnsupportedFieldError(
                f"field {key!r}: '/{field.path}' in {where} is a scalar, it has no sample axis; "
                f"{field.text(constant=True)} gives it to each sample"
            )
        check_column(f"field {key!r}: '/{field.path}' in {where}", field, dataset)
        numbers = row_numbers_of(field)
        leading = numbers.leading
        if len(dataset.shape) < leading > 1:
            shape = (int(self.catalog.facts_of(field.path)[file, 0]), *dataset.shape[1:])
            raise UnsupportedFieldError(
                f"field {key!r}: '/{field.path}' in {where} has the shape {shape}, and axis {leading - 1} is "
                f"outside of it. Rows that all series share are {field.text(axis=0, series_axis=None)}, one value of "
                f"each series {field.text(axis=None, constant=True)}"
            )
        return rows_seen(dataset, numbers)


def _remedy_of(
    field: SingleField, dataset: DatasetSchema, expected: DatasetSchema, *, is_converted: bool
) -> str:
    """What to do about a difference that may be one of types or categories alone."""
    if explain_difference(dataset, expected, field.member, any_type=True, any_categories=True):
        if field.whole is None and not explain_difference(
            dataset, expected, field.member, any_type=is_converted, any_shape=True
        ):
            return (
                f"{field.text(ragged='list')} delivers samples of different shapes as a list, ragged='pad' one tensor "
                f"of them with zeros{_last_axis_text(field, dataset)}"
            )
        return "Run 'h5lightning inspect' to list what differs"
    if not explain_difference(dataset, expected, field.member, any_type=is_converted, any_categories=True):
        return (
            f"One code means different things: {field.text(categories=True)} gives each name one number in all files; "
            f"{stored_remedy(field)}; or write all files with one list"
        )
    types = [schema.element(field.member) or schema.dtype for schema in (dataset, expected)]
    return f"{field.text(dtype=wider_type(*types))} delivers one type, whatever each file stores"


def _last_axis_text(field: SingleField, dataset: DatasetSchema) -> str:
    """The remedy for channels × times, whose rows are times: they differ along the last of two axes."""
    is_matrix = len(dataset.shape) == 2 and field.axis is None and not field.constant
    return ". If rows, such as times, lie along the last axis: samples with axis=-1" if is_matrix else ""


def check_column(what: str, field: SingleField, schema: DatasetSchema) -> None:
    """Raise unless the field names a column that a tensor can hold, or names none of a dataset without columns.

    Args:
        what: the field, its dataset and its file, for messages.
        field: the field.
        schema: the dataset in one file.

    Raises:
        MissingFieldError: there is no such column.
        UnsupportedFieldError: the field names no column, or a column of text, of tables, or the like.
    """
    if not schema.members and field.member is None:
        return
    if not schema.members:
        raise MissingFieldError(f"{what} holds {schema.dtype}, it is no table with columns; leave out member")
    names = [column.name for column in schema.columns]
    if field.member is None:
        raise UnsupportedFieldError(
            f"{what} is a table (compound) with the columns {_names(schema)}; "
            f"choose one: Field({field.path!r}, member={names[0]!r})"
        )
    column = schema.member(field.member)
    if column is None:
        near = did_you_mean(field.member, [member.name for member in schema.members])
        if not near.startswith("; did"):
            near = f"; known: {_listed(list(map(member_text, schema.members)))}"
        raise MissingFieldError(f"{what} has no column {field.member!r}{near}")
    if column.refusal:
        raise UnsupportedFieldError(
            f"{what}: the column {field.member!r} ({_type_text(column)}) {column.refusal}. "
            f"Columns that can be fields: {_listed(list(map(member_text, schema.columns)))}"
            f"{refusal_remedy(field, column.dtype, column.refusal)}"
        )


def _names(schema: DatasetSchema) -> str:
    """The columns that can be fields, and the other ones with their types."""
    refused = [member_text(member) for member in schema.members if member.refusal]
    more = f" (and {_listed(refused)}, which can be no field)" if refused else ""
    return _listed([column.name for column in schema.columns]) + more


def _listed(texts: list[str]) -> str:
    more = f", … {len(texts) - _MOST_LISTED} more" if len(texts) > _MOST_LISTED else ""
    return ", ".join(texts[:_MOST_LISTED]) + more


def _type_text(column: Member) -> str:
    return f"{column.shape or ''}{column.dtype}"
