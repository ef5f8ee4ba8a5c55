"""What reads fields whose samples have different shapes: into one flat buffer, each sample in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.loading.fields.box_run_reader import BoxRunReader
from h5lightning.loading.fields.field_reader import DatasetReader, FieldReader, ReadContext
from h5lightning.loading.fields.joined_parts import JoinedParts
from h5lightning.loading.fields.kept_values import KeptValues
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.fields import ConstantField, FieldPlan, JoinedField, StoredField
from h5lightning.planning.ragged import RowShapes
from h5lightning.planning.ragged_fields import BoxRunField, RaggedAttributeField, RunField
from h5lightning.planning.row_runs import SampleRows
from h5lightning.planning.values.conversions import assign
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.runs_request import RunsRequest
from h5lightning.storage.readers.series_parts import one_part

__all__ = ["RunReader", "make_ragged_reader"]

Array = npt.NDArray[Any]
MakeReader = Callable[[FieldPlan, ReadContext], FieldReader]


def make_ragged_reader(plan: FieldPlan, context: ReadContext, make: MakeReader) -> FieldReader:
    """The reader of a field whose samples may have different shapes; ``make`` makes those of one shape."""
    if isinstance(plan, BoxRunField):
        return BoxRunReader(plan, context)
    if isinstance(plan, RaggedAttributeField):
        return RaggedAttributeReader(plan, context)
    if isinstance(plan, ConstantField):
        return RaggedConstantReader(plan, context)
    if isinstance(plan, JoinedField) and isinstance(plan.parts[0], RunField):
        return RunJoinedReader(plan, context)
    if isinstance(plan, StoredField) and plan.shapes is not None:
        return ShapesReader(plan, plan.shapes, context, make)
    return RunReader(plan, context) if isinstance(plan, RunField) else OneShapeReader(plan, context, make)


class RunReader(DatasetReader):
    """Reads a field whose samples have their own numbers of rows, of one shape."""

    def __init__(self, plan: RunField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: RunField = plan

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:
        """See `FieldReader.layout`."""
        if self.plan.ragged is None:
            return None
        return RaggedLayout.of_rows(self._located(batch).counts, self.plan.row_shape)

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        column, (found, _, slots, total) = self._columns[0], self._located(batch)
        shape = (total if out.size else 0, *column.row_shape)
        rows_out = out.reshape(shape) if out.size else np.empty(shape, out.dtype)
        request: ReadRequest
        if found.rows is not None:
            borders = np.concatenate([[0], np.cumsum(found.counts)])[batch.borders]
            rows_slots = flat_positions(slots, found.counts)
            request = ReadRequest(column, borders, found.rows, rows_slots, rows_out)
        else:
            request = RunsRequest(column, batch.borders, found.firsts, slots, rows_out, counts=found.counts)
            if self._decoder is not None or column.member is not None or not found.counts.all():
                request = request.by_row()
        yield from self._fill(batch, request)

    def _located(self, batch: LocatedBatch) -> _LocatedRuns:
        """Where the rows of a batch lie, found once for the layout and for the rows."""
        known = batch.kept.get(self)
        if not isinstance(known, _LocatedRuns):
            found = self.plan.runs.of(batch)
            counts = np.empty_like(found.counts)
            counts[batch.slots] = found.counts
            ends = counts.cumsum()
            total = int(ends[-1]) if len(ends) else 0
            known = batch.kept[self] = _LocatedRuns(found, counts, (ends - counts)[batch.slots], total)
        return known


class _LocatedRuns(NamedTuple):
    """The rows of each sample of a batch, and where they go.

    Args:
        found: the rows, in the order of the batch.
        counts: how many each sample has, by slot, ``(N,)``.
        slots: the first row in the buffer of each sample, in the order of the batch, ``(N,)``.
        total: rows of all samples.
    """

    found: SampleRows
    counts: Int64Array
    slots: Int64Array
    total: int


class RunJoinedReader(FieldReader):
    """Reads several datasets or columns with as many rows in each sample, and puts their values side by side."""

    def __init__(self, plan: JoinedField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: JoinedField = plan
        self._parts = JoinedParts(plan, self.dtype, RunReader, context)
        self._row_shape = tuple(length for length in plan.spec.shape[1:] if length is not None)

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:
        """See `FieldReader.layout`."""
        layout = self._parts.readers[0].layout(batch)
        return None if layout is None else RaggedLayout.of_rows(layout.shapes[:, 0], self._row_shape)

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        rows = out.reshape(-1, *self._row_shape)
        yield from self._parts.fill(batch, rows, self.plan.axis, is_stored=out.dtype != self.dtype)

    @property
    def stored_dtype(self) -> np.dtype[Any] | None:
        """See `JoinedParts.stored_dtype`."""
        return self._parts.stored_dtype


class OneShapeReader(FieldReader):
    """Reads samples that all have one shape as they are read where they must have it."""

    def __init__(self, plan: FieldPlan, context: ReadContext, make: MakeReader) -> None:
        super().__init__(plan, context)
        self._reader = make(_of_one_shape(plan), context)

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:
        """See `FieldReader.layout`."""
        return RaggedLayout.of_one_shape(len(batch.slots), self._reader.shape)

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        samples = len(batch.slots) if out.size else 0
        yield from self._reader.fill(batch, out.reshape(samples, *self._reader.shape))

    @property
    def stored_dtype(self) -> np.dtype[Any] | None:
        """See `FieldReader.stored_dtype`."""
        return self._reader.stored_dtype


class ShapesReader(FieldReader):
    """Reads a field whose rows have different shapes in different units: those of one shape together."""

    def __init__(self, plan: StoredField, shapes: RowShapes, context: ReadContext, make: MakeReader) -> None:
        super().__init__(plan, context)
        self.plan: StoredField = plan
        self._shapes = shapes
        self._make = make
        self._readers: dict[int, FieldReader] = {}

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:
        """See `FieldReader.layout`."""
        numbers = self._shapes.of_unit[batch.units]
        groups = np.empty(len(batch.slots), np.int64)
        groups[batch.slots] = numbers.repeat(batch.sizes)
        shapes = self._shapes.shapes[groups]
        if isinstance(self.plan, RunField):
            counts = np.empty(len(groups), np.int64)
            counts[batch.slots] = self.plan.runs.of(batch).counts
            shapes = np.concatenate([counts[:, None], shapes], axis=1)
        elif len(self.plan.spec.shape) > shapes.shape[1]:
            steps = np.full((len(groups), 1), self.plan.spec.shape[0], np.int64)
            shapes = np.concatenate([steps, shapes], axis=1)
        return RaggedLayout.of(shapes, groups)

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        numbers = self._shapes.of_unit[batch.units]
        start, fills = 0, []
        for number in np.unique(numbers).tolist():
            parts = np.flatnonzero(numbers == number)
            some, reader = batch.of_units(parts), self._reader(number)
            layout = reader.layout(some)
            shape = (len(some.slots), *reader.shape) if layout is None else (layout.total,)
            size = int(np.prod(shape))
            region = out[start : start + size].reshape(shape) if out.size else reader.buffer(0, out.dtype)
            fills.append((parts, reader.fill(some, region)))
            start += size
        yield [
            request if request.paths is not None else request._replace(files=_named(parts, request.files))
            for parts, fill in fills
            for request in next(fill)
        ]
        for _, fill in fills:
            for _ in fill:
                raise RuntimeError("a field with rows asks for rows once")

    def _reader(self, number: int) -> FieldReader:
        """The reader of the units whose rows have one of the shapes."""
        if number not in self._readers:
            shape = tuple(self._shapes.shapes[number].tolist())
            self._readers[number] = self._make(_of_one_shape(self.plan, shape), self.context)
        return self._readers[number]


class RaggedConstantReader(DatasetReader):
    """Reads a dataset that is the same for all samples of a file, and may have another shape in other files."""

    def __init__(self, plan: ConstantField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: ConstantField = plan
        self._key = (*self._made, self.dtype.name, "ragged")
        context.constants.plan(self._key, int(plan.mean_numbers * self.dtype.itemsize))

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:
        """See `FieldReader.layout`."""
        if self.plan.shapes is None:
            return RaggedLayout.of_one_shape(len(batch.slots), self.plan.row_shape)
        shapes = self.plan.shapes
        return RaggedLayout.of(shapes.shapes[shapes.of_unit[batch.units]][_part_of_slot(batch)])

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        if not batch.paths:
            return
        if out.dtype != self.dtype:  # stored numbers, for an error that shows one
            values = [self._stored(batch, part).reshape(-1) for part in range(len(batch.paths))]
        else:
            kept = self.context.constants.kept()
            values = [
                kept.get((self._key, unit), partial(self._read, batch, part))
                for part, unit in enumerate(batch.units.tolist())
            ]
        each = [values[part] for part in _part_of_slot(batch).tolist()]
        np.concatenate(each, out=out, casting="unsafe")

    def _read(self, batch: LocatedBatch, part: int) -> Array:
        if isinstance(self._decoder, KeptValues):
            return self._decoder.whole(batch, part, self._shape(batch, part)).reshape(-1)
        stored = self._stored(batch, part)
        if self._decoder is not None:
            return self._decoder.whole(stored, self._form(batch, part), batch, part).reshape(-1)
        values = np.empty(stored.shape, self.dtype)
        assign(values, ..., stored)
        return values.reshape(-1)

    def _stored(self, batch: LocatedBatch, part: int) -> Array:
        column = replace(self._columns[self._form(batch, part)], row_shape=self._shape(batch, part))
        values = np.empty(column.row_shape, np.dtype(column.dtype).newbyteorder("="))
        self.context.reader.read_whole(one_part(batch.paths, part), column, values)
        return values

    def _shape(self, batch: LocatedBatch, part: int) -> tuple[int, ...]:
        shapes = self.plan.shapes
        return self.plan.row_shape if shapes is None else shapes.shape_in(int(batch.units[part]))

    def _form(self, batch: LocatedBatch, part: int) -> int:
        return self.plan.form_in(int(batch.units[part]))


class RaggedAttributeReader(FieldReader):
    """Fills an attribute, whose values the plan has."""

    def __init__(self, plan: RaggedAttributeField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self._values = plan.values

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:
        """See `FieldReader.layout`."""
        return RaggedLayout.of(self._values.shapes[self._numbers(batch)])

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        values, numbers = self._values, self._numbers(batch)
        sizes = values.shapes.prod(axis=1)[numbers]
        out[...] = values.flat[flat_positions(values.starts[numbers], sizes)]

    def _numbers(self, batch: LocatedBatch) -> Int64Array:
        """The number of the value of each sample, by slot."""
        return self._values.of_unit[batch.units][_part_of_slot(batch)]


def _part_of_slot(batch: LocatedBatch) -> Int64Array:
    """The index of the unit of each sample, by slot, ``(N,)``."""
    parts = np.empty(len(batch.slots), np.int64)
    parts[batch.slots] = np.arange(len(batch.units)).repeat(batch.sizes)
    return parts


def _named(parts: Int64Array, files: tuple[int, ...] | None) -> tuple[int, ...]:
    """The files of a request for some units of a batch, by their indices in the batch."""
    return tuple((parts if files is None else parts[list(files)]).tolist())


def _of_one_shape(plan: FieldPlan, row_shape: tuple[int, ...] | None = None) -> FieldPlan:
    """The plan for samples that all have one shape; ``row_shape`` is that of their rows, where units differ."""
    if isinstance(plan, JoinedField):
        return replace(plan, ragged=None, parts=tuple(replace(part, ragged=None) for part in plan.parts))
    if row_shape is None or not isinstance(plan, StoredField):
        return replace(plan, ragged=None)
    before = plan.spec.shape[: len(plan.spec.shape) - len(row_shape)]
    spec = replace(plan.spec, shape=(*before, *row_shape))
    # Samples of a run field still have their own numbers of rows.
    ragged = plan.ragged if isinstance(plan, RunField) else None
    return replace(plan, spec=spec, row_shape=row_shape, shapes=None, ragged=ragged)
