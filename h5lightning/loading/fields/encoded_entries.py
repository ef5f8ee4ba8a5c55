"""The bytes of all entries of a field of a batch: what is asked of readers, and what was read of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.encoded_field import ByteForm, Encoded, EncodedField, EncodedRunField
from h5lightning.planning.fields import FieldSpec, RowField, StoredForm
from h5lightning.planning.ragged import Ragged
from h5lightning.planning.ragged_fields import RunField
from h5lightning.storage.readers.heap.encoded_bytes import encoded_bytes
from h5lightning.storage.readers.protocol import ReadRequest

__all__ = ["EncodedEntries", "FormReaders"]

Array = npt.NDArray[Any]
MakeReader = Callable[[Any, ReadContext], FieldReader]


class FormReaders:
    """Readers of the rows of a field of encoded bytes, one for each form in which files store them.

    Args:
        plan: the field.
        make: makes the reader of stored rows.
        context: what the readers of all fields share.
    """

    def __init__(self, plan: EncodedField | EncodedRunField, make: MakeReader, context: ReadContext) -> None:
        self.plan = plan
        self.encoded: Encoded = plan.encoded
        self.context = context
        self._readers = [make(_stored_rows(plan, form), context) for form in plan.encoded.forms]

    def counts(self, batch: LocatedBatch) -> Int64Array:
        """Rows of each sample, by slot, ``(N,)``."""
        layout = self._readers[0].layout(batch)
        if layout is not None:
            return layout.shapes[:, 0]
        steps = self._readers[0].shape
        return np.full(len(batch.slots), steps[0] if self.plan.steps is not None else 1, np.int64)

    def entries(self, batch: LocatedBatch, *, is_read: bool = True) -> EncodedEntries:
        """What to ask for; without ``is_read``, for a reader that reads nothing, and needs no buffers."""
        counts = self.counts(batch)
        ends = counts.cumsum()
        numbers = self.encoded.forms_in(batch.units)
        parts = []
        for number in np.unique(numbers).tolist():
            units = np.flatnonzero(numbers == number)
            some = batch if len(units) == len(numbers) else batch.of_units(units)
            slots = np.sort(batch.slots[np.isin(batch.sample_units, batch.units[units])])
            places = flat_positions((ends - counts)[slots], counts[slots])
            reader, form = self._readers[number], self.encoded.forms[number]
            dtype = np.dtype(form.dtype)
            rows = reader.buffer_for(some, dtype) if is_read else reader.buffer(0, dtype)
            parts.append(_FormPart(form, some, units, places, rows, reader.fill(some, rows)))
        return EncodedEntries(self, batch, counts, parts)


def _stored_rows(plan: EncodedField | EncodedRunField, form: ByteForm) -> RowField:
    """The plan of the stored rows of a field, in units that store them in one form."""
    is_run = isinstance(plan, RunField)
    kind = RunField if is_run else RowField
    options = {item.name: getattr(plan, item.name) for item in fields(kind)}
    before = plan.spec.shape[: 1 if plan.steps is not None else 0]
    options |= {
        "spec": FieldSpec((*before, *form.row_shape), form.dtype),
        "row_shape": form.row_shape,
        "forms": (StoredForm(form.dtype),),
        "ragged": Ragged("list", 0.0) if is_run else None,
    }
    return kind(**options)


@dataclass(frozen=True, slots=True, eq=False)
class _FormPart:
    """The rows of the units that store them in one form.

    Args:
        form: the form.
        batch: the samples of these units.
        units: the units, by their ascending indices in the whole batch.
        places: where each row lies among those of the whole batch, ``(rows,)``.
        rows: the buffer of the rows.
        fill: asks for the rows.
    """

    form: ByteForm
    batch: LocatedBatch
    units: Int64Array
    places: Int64Array
    rows: Array
    fill: Iterator[Sequence[RowRequest]]


class EncodedEntries:
    """The entries of a batch.

    Args:
        readers: the readers of the rows.
        batch: the samples.
        counts: rows of each sample, by slot, ``(N,)``.
        parts: what is read.

    Attributes:
        rows: rows of all samples.
    """

    def __init__(
        self, readers: FormReaders, batch: LocatedBatch, counts: Int64Array, parts: Sequence[_FormPart]
    ) -> None:
        self.counts = counts
        self.rows = int(counts.sum())
        self._readers = readers
        self._batch = batch
        self._parts = parts
        self._asked: list[tuple[_FormPart, RowRequest]] = []
        self._row_of = np.zeros(self.rows, np.int64)
        self._file_of = np.zeros(self.rows, np.int64)
        self._where: list[Callable[[int, int], str]] = []
        self._where_of = np.zeros(self.rows, np.int64)

    def requests(self) -> list[RowRequest]:
        """The rows that are needed; to be called once."""
        found = []
        for part in self._parts:
            for request in next(part.fill, ()):
                self._asked.append((part, request))
                found.append(request if request.paths is not None else _renamed(request, part.units))
        return found

    def values(self) -> list[bytes]:
        """The bytes of all entries, those of a sample one after the other; once the rows were read."""
        per_row = int(np.prod(self._readers.encoded.shape, dtype=np.int64))
        values = [b""] * (self.rows * per_row)
        for part, request in self._asked:
            one = request.request
            if not isinstance(one, ReadRequest):
                raise TypeError("a field of encoded bytes asks for rows")
            single = one.by_row()
            places = part.places[single.slots]
            paths, files = self._note(part, request, single, places)
            pool, access = self._readers.context.reader.pool, self._readers.context.reader.pool.access
            found = encoded_bytes(
                pool,
                paths,
                files,
                part.form,
                single.out[single.slots],
                partial(self._described, places),
                most_bytes=access.most_padded_bytes,
            )
            if per_row == 1:
                for place, value in zip(places.tolist(), found, strict=True):
                    values[place] = value
            else:
                for number, place in enumerate(places.tolist()):
                    values[place * per_row : (place + 1) * per_row] = found[
                        number * per_row : (number + 1) * per_row
                    ]
        return values

    def _described(self, places: Int64Array, row: int) -> str:
        return self.describe(int(places[row]))

    def describe(self, place: int) -> str:
        """A row, by its place among those of the batch, for messages."""
        where = self._where[int(self._where_of[place])]
        return f"{self._readers.plan.title} at {where(int(self._file_of[place]), int(self._row_of[place]))}"

    def _note(
        self, part: _FormPart, request: RowRequest, single: ReadRequest, places: Int64Array
    ) -> tuple[Sequence[str], Int64Array]:
        """Remember where rows come from; their files, and the file of each."""
        files = np.arange(len(single.sizes)).repeat(single.sizes)
        paths = part.batch.paths if request.paths is None else request.paths
        if request.files is not None:
            files = np.asarray(request.files, np.int64)[files]
        self._row_of[places], self._file_of[places] = single.rows, files
        self._where_of[places] = len(self._where)
        is_in_unit = request.paths is None and self._readers.plan.row_numbers.is_in_unit
        self._where.append(
            part.batch.where if is_in_unit else lambda file, row: f"row {row} of {paths[file]}"
        )
        return paths, files


def _renamed(request: RowRequest, units: Int64Array) -> RowRequest:
    """A request for some units of a batch, with their indices in the whole batch."""
    return request._replace(
        files=tuple((units if request.files is None else units[list(request.files)]).tolist())
    )
