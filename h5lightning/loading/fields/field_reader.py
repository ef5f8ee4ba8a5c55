"""What reads one field of a batch: a class for each kind of field, chosen in `make_field_reader`."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray
from h5lightning.loading.fields.constant_cache import ConstantCache
from h5lightning.loading.fields.field_decoder import FieldDecoder, column_of
from h5lightning.loading.fields.file_values import FileValues, put_each, put_rows
from h5lightning.loading.fields.image_threads import ImageThreads
from h5lightning.loading.fields.kept_values import KeptValues
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.loading.fields.run_rows import RunRows, together
from h5lightning.planning.fields import (
    AttributeField,
    ConstantField,
    FieldPlan,
    PaddingField,
    RowField,
    StoredField,
)
from h5lightning.planning.row_numbers import OF_SERIES
from h5lightning.planning.values.conversions import assign, buffer_dtype, delivery_dtype
from h5lightning.storage.readers.protocol import Reader, ReadRequest
from h5lightning.storage.readers.series_parts import one_part

__all__ = [
    "AttributeReader",
    "ConstantReader",
    "DatasetReader",
    "FieldReader",
    "PaddingReader",
    "ReadContext",
    "RowReader",
    "SeriesReader",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class ReadContext:
    """What the readers of all fields share.

    Args:
        reader: reads datasets.
        constants: keeps datasets without a sample axis.
        runs: finds rows of files that go on where others end; None if no files are joined.
        checks_each: check each number while it is read, also where that can be done afterwards: then an error names
            its row and file.
        images: threads that decode images.
    """

    reader: Reader
    constants: ConstantCache
    runs: RunRows | None = None
    checks_each: bool = False
    images: ImageThreads = dataclasses.field(default_factory=ImageThreads)


class FieldReader(ABC):
    """Reads one field of any samples; each kind of field is a subclass."""

    def __init__(self, plan: FieldPlan, context: ReadContext) -> None:
        self.plan = plan
        self.context = context
        self.key = plan.key
        self.shape = () if plan.spec.varies else plan.spec.fixed_shape
        self.dtype = self._buffer_dtype()

    @abstractmethod
    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """Fill the buffer of the field.

        A generator: it yields the rows that it needs, and goes on when they were read. The rows of all fields are
        read together. Until it has yielded for the first time, it reads nothing and does not touch the buffer.

        Args:
            batch: the samples.
            out: the buffer, ``(N, *shape)``, or flat if there is a `layout`, of the type `dtype` or of the stored type.

        Raises:
            FieldError: a value that the delivered type cannot hold.
            MissingDataError: a number that represents a missing value, in a field without ``decode``.
            FloatingPointError: a finite value would become infinite in the type of the buffer.
        """

    @property
    def is_list(self) -> bool:
        """Whether its buffer is a list: an array of Python objects, ``(N,)``."""
        return self.dtype.hasobject

    def _buffer_dtype(self) -> np.dtype[Any]:
        plan, delivered = self.plan, self.plan.spec.dtype
        return buffer_dtype(plan.stored, delivered) if plan.is_uniform else delivery_dtype(delivered)

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:  # noqa: ARG002
        """Where the samples of a batch lie in a flat buffer; None for a buffer ``(N, *shape)`` of one shape."""
        return None

    def buffer_for(self, batch: LocatedBatch, dtype: np.dtype[Any] | None = None) -> Array:
        """A buffer for the samples of a batch; see `buffer`."""
        layout = self.layout(batch)
        if layout is not None:
            return np.empty(layout.total, dtype or self.dtype)
        return self.buffer(len(batch.slots), dtype)

    def buffer(self, samples: int, dtype: np.dtype[Any] | None = None) -> Array:
        """A buffer for some samples, of the type `dtype` unless another one is given."""
        return np.empty((samples, *self.shape), dtype or self.dtype)

    @property
    def stored_dtype(self) -> np.dtype[Any] | None:
        """The stored type, where `fill` converts stored numbers to another one; else None."""
        native = np.dtype(self.plan.stored).newbyteorder("=")
        return native if self.plan.is_uniform and native != self.dtype else None


class DatasetReader(FieldReader):
    """Reads a dataset; without a decoder, stored numbers are delivered, and none is to be checked."""

    def __init__(self, plan: StoredField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: StoredField = plan
        self._columns = [column_of(plan, form) for form in plan.forms]
        self._decoder = _decoder_of(plan, context)

    @property
    def _made(self) -> tuple[Hashable, ...]:
        """What is read, and how values are made of it: constant fields that agree in it share them in the cache."""
        plan = self.plan
        made_by = None if self._decoder is None else (plan.spec.dtype, plan.as_asked.decode, plan.categories)
        return plan.path, plan.member, made_by

    def _fill(self, batch: LocatedBatch, request: ReadRequest) -> Iterator[Sequence[RowRequest]]:
        if self._decoder is None:
            yield (RowRequest(request),)  # read straight into the batch
        else:
            yield from self._decoder.fill(batch, request)


def _decoder_of(plan: StoredField, context: ReadContext) -> FieldDecoder | KeptValues | None:
    """What makes the values of a field; None for stored numbers that are delivered unchecked."""
    if plan.kept is not None:
        return KeptValues(plan, plan.kept)
    return None if plan.is_uniform and not context.checks_each else FieldDecoder(plan)


class RowReader(DatasetReader):
    """Reads a field with values for each sample: single rows, or steps of windows."""

    def __init__(self, plan: RowField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: RowField = plan
        self._steps = plan.steps
        self._offsets = plan.offsets
        self._is_run = plan.dilation == 1 or len(self._offsets) == 1
        self._row_numbers = plan.row_numbers

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        runs = self.context.runs
        if runs is not None and self._steps is not None and len(self._offsets):
            yield from self._fill_in_runs(runs, batch, out)
            return
        is_clipped = None if batch.room is None else batch.room.has_padding(self.plan)
        if is_clipped is None or not is_clipped.any():
            request = self._request(batch, out)
        elif self._decoder is not None or not self._is_run:
            request = self._by_step(batch, out)
        else:
            # Runs of the windows that lie inside; a row for each step of the others.
            yield (
                *_chosen(self._request(batch, out), ~is_clipped),
                *_chosen(self._by_step(batch, out), is_clipped.repeat(len(self._offsets))),
            )
            return
        yield from self._fill(batch, request)

    def _fill_in_runs(self, runs: RunRows, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """Fill the buffer with windows that may reach into other files."""
        offsets = self._offsets if batch.room is None else batch.room.clipped(self.plan)
        inside, rows = runs.divided(batch, offsets, self._offsets)
        if rows is None:
            yield from self._fill(inside, self._request(inside, out))
            return
        column = self._columns[0]
        each = out.reshape(len(out) * len(self._offsets), *column.row_shape)
        single = ReadRequest(column, rows.borders, rows.rows, rows.slots, each)
        yield from together(
            [(inside, self._fill(inside, self._request(inside, out))), (rows, self._fill(rows, single))]
        )

    def _request(self, batch: LocatedBatch, out: Array) -> ReadRequest:
        column, first_rows = self._columns[0], self._row_numbers.first_rows(batch)
        if self._steps is None:
            return ReadRequest(column, batch.borders, first_rows, batch.slots, out)
        offsets = self._offsets
        count = len(offsets)
        if self._is_run and count:
            out = out.reshape(len(out), *column.row_shape) if count == 1 else out
            rows = first_rows + offsets[0]
            return ReadRequest(column, batch.borders, rows, batch.slots, out, run=count)
        return self._by_step(batch, out)

    def _by_step(self, batch: LocatedBatch, out: Array) -> ReadRequest:
        """A request for each step as an entry of its own; steps beyond borders are the row at the border."""
        column, count = self._columns[0], len(self._offsets)
        offsets = self._offsets if batch.room is None else batch.room.clipped(self.plan)
        rows = (self._row_numbers.first_rows(batch)[:, None] + offsets).ravel()
        slots = (batch.slots[:, None] * count + np.arange(count)).ravel()
        out = out.reshape(len(out) * count, *column.row_shape)
        return ReadRequest(column, batch.borders * count, rows, slots, out)


def _chosen(request: ReadRequest, is_chosen: BoolArray) -> Iterator[RowRequest]:
    """Some entries of a request for all files of a batch, of the files that they lie in."""
    sizes = np.diff(np.concatenate([[0], np.cumsum(is_chosen)])[request.borders])
    files = np.flatnonzero(sizes)
    if files.size:
        borders = np.concatenate([[0], np.cumsum(sizes[files])])
        some = replace(request, borders=borders, rows=request.rows[is_chosen], slots=request.slots[is_chosen])
        yield RowRequest(some, None if len(files) == len(sizes) else tuple(files.tolist()))


class PaddingReader(FieldReader):
    """Says which entries of the windows of another field are padding."""

    def __init__(self, plan: PaddingField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self._of = plan.of

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        if batch.room is not None:
            out[batch.slots] = batch.room.padding_of(self._of)


class SeriesReader(DatasetReader):
    """Reads one row for the series of each sample."""

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        rows = OF_SERIES.first_rows(batch)
        yield from self._fill(batch, ReadRequest(self._columns[0], batch.borders, rows, batch.slots, out))


class ConstantReader(DatasetReader):
    """Reads a dataset that is the same for all samples of a file."""

    def __init__(self, plan: ConstantField, context: ReadContext) -> None:
        super().__init__(plan, context)
        key = (*self._made, self.dtype.name)
        self._values = FileValues(context.constants, key, self.shape, self.dtype)

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        if not batch.paths:
            return
        if out.dtype == self.dtype:
            self._values.put(batch, out, partial(self._read, batch))
        else:  # stored numbers, for an error that shows one
            put_each(((file, self._stored(batch, file)) for file in range(len(batch.paths))), batch, out)

    def _read(self, batch: LocatedBatch, file: int) -> Array:
        if isinstance(self._decoder, KeptValues):
            return self._decoder.whole(batch, file, self.shape)
        stored = self._stored(batch, file)
        if self._decoder is not None:
            return self._decoder.whole(stored, self._form(batch, file), batch, file)
        values = np.empty(self.shape, self.dtype)
        assign(values, ..., stored)
        return values

    def _stored(self, batch: LocatedBatch, file: int) -> Array:
        column = self._columns[self._form(batch, file)]
        values = np.empty(column.row_shape, np.dtype(column.dtype).newbyteorder("="))
        self.context.reader.read_whole(one_part(batch.paths, file), column, values)
        return values

    def _form(self, batch: LocatedBatch, file: int) -> int:
        return self.plan.form_in(int(batch.units[file]))


class AttributeReader(FieldReader):
    """Fills an attribute, whose values the plan has."""

    def __init__(self, plan: AttributeField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self._values = plan.values

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        if batch.paths:
            put_rows(self._values, batch.units, batch, out)
