"""What reads one field of a batch: a class for each kind of field, chosen by `make_field_reader`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray
from h5lightning.loading.fields.dataset_reader import DatasetReader, FieldReader, ReadContext
from h5lightning.loading.fields.file_values import FileValues, put_each, put_rows
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.ragged_readers import RunReader, make_ragged_reader
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.loading.fields.run_rows import RunRows, together
from h5lightning.planning.fields import (
    AttributeField,
    ConstantField,
    FieldPlan,
    JoinedField,
    PaddingField,
    RowField,
    SeriesField,
)
from h5lightning.planning.ragged_fields import RunField
from h5lightning.planning.row_numbers import OF_SERIES
from h5lightning.planning.values.conversions import assign
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.series_parts import one_part

__all__ = ["FieldReader", "ReadContext", "make_field_reader"]

Array = npt.NDArray[Any]


def make_field_reader(plan: FieldPlan, context: ReadContext) -> FieldReader:
    """The reader of a field: a new kind is a plan, a reader, and a line in the table below."""
    if plan.ragged is not None:
        return make_ragged_reader(plan, context, make_field_reader)
    return _READERS[type(plan)](plan, context)


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
    """Says which steps of another field are padding."""

    def __init__(self, plan: PaddingField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self._of = plan.of

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        if batch.room is not None:
            out[batch.slots] = batch.room.is_padding(self._of)


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
        # Fields of one dataset whose values are made in the same way share them in the cache.
        made_by = None if self._decoder is None else (plan.spec.dtype, plan.as_asked.decode)
        key = (plan.path, plan.member, made_by, self.dtype.name)
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


class JoinedReader(FieldReader):
    """Reads several datasets or columns, and puts their values side by side."""

    def __init__(self, plan: JoinedField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self._parts = [self._part(part) for part in plan.parts]
        spans = (slice(*span) for span in zip(plan.borders[:-1], plan.borders[1:], strict=True))
        self._places = [((slice(None),) * (plan.axis + 1)) + (span,) for span in spans]

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        # Stored numbers, if they are asked for, come in a type that holds those of all parts.
        is_stored = out.dtype != self.dtype
        buffers = [part.buffer_for(batch, (part.stored_dtype if is_stored else None)) for part in self._parts]
        fills = [part.fill(batch, buffer) for part, buffer in zip(self._parts, buffers, strict=True)]
        # In one go, so that a table is read once for all its columns.
        for asked in zip_longest(*fills, fillvalue=()):
            yield [request for requests in asked for request in requests]
        for place, buffer in zip(self._places, buffers, strict=True):
            target = out[place]
            with np.errstate(invalid="ignore"):  # a NaN that signals
                np.copyto(target, buffer.reshape(target.shape), casting="unsafe")

    @property
    def stored_dtype(self) -> np.dtype[Any] | None:
        """A type for the stored numbers of all parts, where the reader converts some of them; else None."""
        stored = [part.stored_dtype for part in self._parts]
        if all(dtype is None for dtype in stored):
            return None
        return np.result_type(*(dtype or part.dtype for dtype, part in zip(stored, self._parts, strict=True)))

    def _part(self, plan: FieldPlan) -> FieldReader:
        """The reader of a part, which checks each number that cannot be checked once the parts are joined."""
        part = make_field_reader(plan, self.context)
        if part.dtype == self.dtype and plan.mask is None:
            return part
        return make_field_reader(plan, replace(self.context, checks_each=True))


_READERS: dict[type[FieldPlan], Callable[[Any, ReadContext], FieldReader]] = {
    AttributeField: AttributeReader,
    ConstantField: ConstantReader,
    JoinedField: JoinedReader,
    PaddingField: PaddingReader,
    RowField: RowReader,
    RunField: RunReader,
    SeriesField: SeriesReader,
}
