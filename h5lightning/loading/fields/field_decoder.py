"""Rows of a field that files store in different types, or encoded → the values that are delivered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError, H5LightningError, MissingDataError
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.category_errors import unknown_value
from h5lightning.planning.conventions.encoding_checks import remedy
from h5lightning.planning.fields import RowField, StoredField, StoredForm
from h5lightning.planning.values.categories import Categories, Value
from h5lightning.planning.values.category_decoder import CategoryDecoder
from h5lightning.planning.values.conversions import LostValueError, ValueAtError
from h5lightning.planning.values.encoded_values import is_missing
from h5lightning.planning.values.value_decoder import ValueDecoder
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

__all__ = ["FieldDecoder", "column_of"]

Array = npt.NDArray[Any]


def column_of(plan: StoredField, form: StoredForm) -> DatasetColumn:
    """What to read in files that store a field in one form."""
    return DatasetColumn(plan.path, plan.member, form.dtype, plan.row_shape, plan.leading)


def _values_of(plan: StoredField) -> ValueDecoder | CategoryDecoder:
    """What makes the delivered values of a field from its stored numbers."""
    encodings = [form.encoding for form in plan.forms]
    if plan.categories is None:
        return ValueDecoder(encodings, plan.spec.dtype, is_decoded=plan.is_decoded)
    stored, names = [form.dtype for form in plan.forms], [form.names for form in plan.forms]
    return CategoryDecoder(stored, names, encodings, plan.categories, plan.spec.dtype)


def _unknown(
    plan: StoredField, categories: Categories, stored: Any, form: int, where: str
) -> H5LightningError:
    """The error of a stored number that is no category."""
    names, number, encoding = plan.forms[form].names, stored.item(), plan.forms[form].encoding
    value: Value | None = number
    if names is not None:
        value = names.names[names.codes.index(number)] if number in names.codes else None
    elif number != number or (encoding is not None and is_missing(np.asarray(stored), encoding).any()):  # noqa: PLR0124
        value = None
    text = "" if value is number else str(number)
    return unknown_value(plan.title, plan.as_asked, categories, value, where, text)


class _Part(NamedTuple):
    """The rows of files that store a field in one type; ``files`` are their indices in the batch."""

    request: ReadRequest
    files: tuple[int, ...]
    forms: Int64Array  # of each file
    slots: Int64Array  # of each entry


class FieldDecoder:
    """Converts or decodes stored numbers, and checks each of them."""

    def __init__(self, plan: StoredField) -> None:
        self._plan = plan
        self._columns = [column_of(plan, form) for form in plan.forms]
        self._values = _values_of(plan)
        self._is_in_unit = isinstance(plan, RowField) and plan.row_numbers.is_in_unit

    def fill(self, batch: LocatedBatch, request: ReadRequest) -> Iterator[Sequence[RowRequest]]:
        """Fill the buffer of a request, whatever type files store, with delivered values; see `FieldReader.fill`."""
        parts = list(self._parts(batch, request))
        every = len(batch.paths)
        # The columns of a table are read together if their files are the same.
        yield [RowRequest(part.request, None if len(part.files) == every else part.files) for part in parts]
        for part in parts:
            request.out[part.slots] = self._decoded(part, batch)

    def whole(self, values: Array, form: int, batch: LocatedBatch, file: int) -> Array:
        """A dataset without a sample axis as it is delivered, from its stored numbers in one form in a file of a batch.

        Raises:
            MissingDataError: a number that represents a missing value, where they are not decoded.
            FieldError: a value that the delivered type cannot hold.
        """
        one = values[None]
        try:
            delivered: Array = self._values.of(one, np.asarray([form]))[0, ...]
            return delivered
        except ValueAtError as error:
            place = batch.where(file)
            where = f"{list(error.place[1:])} in {place}" if values.ndim else place
            raise self._explained(error, one, form, where) from None

    def entries(self, stored: Array, form: int, batch: LocatedBatch, which: Int64Array) -> Array:
        """Stored numbers of whole samples as they are delivered.

        Args:
            stored: the numbers of each sample, ``(n, …)``.
            form: the number of the form in which their files store them.
            batch: the samples of a batch.
            which: those of the samples that ``stored`` holds, by their index in the batch, ``(n,)``.

        Raises:
            MissingDataError: a number that represents a missing value, where they are not decoded.
            FieldError: a value that the delivered type cannot hold.
        """
        try:
            return self._values.of(stored, np.full(len(stored), form))
        except ValueAtError as error:
            entry = int(which[error.place[0]])
            part = int(batch.borders.searchsorted(entry, side="right")) - 1
            where = f"{list(error.place[1:])} of the sample at {batch.where(part, int(batch.rows[entry]))}"
            raise self._explained(error, stored, form, where) from None

    def _parts(self, batch: LocatedBatch, request: ReadRequest) -> Iterator[_Part]:
        forms = self._plan.forms_in(batch.units)
        by_column: dict[DatasetColumn, list[int]] = {}
        for file, form in enumerate(forms.tolist()):
            by_column.setdefault(self._columns[form], []).append(file)
        for column, files in by_column.items():
            stored = request.of(files)
            out = np.empty((len(stored.rows), *stored.entry_shape), np.dtype(column.dtype).newbyteorder("="))
            slots = np.arange(len(stored.rows))
            own = ReadRequest(column, stored.borders, stored.rows, slots, out, stored.run)
            yield _Part(own, tuple(files), forms[files], stored.slots)

    def _decoded(self, part: _Part, batch: LocatedBatch) -> Array:
        request = part.request
        try:
            return self._values.of(request.out, part.forms.repeat(request.sizes))
        except ValueAtError as error:
            entry = error.place[0]
            row = int(request.rows[entry]) + (0 if request.run == 1 else error.place[1])
            file = int(request.borders.searchsorted(entry, side="right")) - 1
            unit = part.files[file]
            where = batch.where(unit, row) if self._is_in_unit else f"row {row} of {batch.where(unit)}"
            raise self._explained(error, request.out, int(part.forms[file]), where) from None

    def _explained(self, error: ValueAtError, stored: Array, form: int, where: str) -> H5LightningError:
        plan, value = self._plan, stored[error.place]
        if plan.categories is not None:
            return _unknown(plan, plan.categories, value, form, f"at {where}")
        what = f"{plan.title} holds {value!s} at {where}"
        if isinstance(error, LostValueError):
            decoded = ", decoded," if plan.is_decoded else ""
            return FieldError(
                f"{what}, which{decoded} {plan.spec.dtype} cannot hold. Choose another Field(dtype=…), or convert in a "
                "transform"
            )
        encoding = plan.forms[form].encoding
        said = ", ".join(encoding.said_by) if encoding is not None else ""
        if encoding is not None and encoding.kind == "codes":
            return MissingDataError(
                f"{what}, which is not a valid category code. {plan.as_asked.text(decode='stored')} delivers the "
                "stored numbers; a run that stopped here continues from its checkpoint with it"
            )
        return MissingDataError(
            f"{what}, which stands for a missing value ({said}). {remedy(plan.as_asked)}. A run that stopped here "
            "continues from its checkpoint with either"
        )
