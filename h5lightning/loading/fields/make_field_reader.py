"""Chooses what reads each field; a field of several datasets is read by the readers of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.loading.fields.box_reader import BoxReader
from h5lightning.loading.fields.box_run_reader import BoxRunReader
from h5lightning.loading.fields.field_reader import (
    AttributeReader,
    ConstantReader,
    FieldReader,
    PaddingReader,
    ReadContext,
    RowReader,
    SeriesReader,
)
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.ragged_readers import RunReader, make_ragged_reader
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.fields import (
    AttributeField,
    ConstantField,
    FieldPlan,
    JoinedField,
    PaddingField,
    RowField,
    SeriesField,
    StoredField,
)
from h5lightning.planning.ragged_fields import BoxRunField, RunField

__all__ = ["make_field_reader"]

Array = npt.NDArray[Any]


def make_field_reader(plan: FieldPlan, context: ReadContext) -> FieldReader:
    """The reader of a field: a new kind is a plan, a reader, and a line in the table below."""
    if plan.ragged is not None:
        return make_ragged_reader(plan, context, make_field_reader)
    return _READERS[type(plan)](plan, context)


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

    def _part(self, plan: StoredField) -> FieldReader:
        """The reader of a part, which checks each number that cannot be checked once the parts are joined."""
        part = make_field_reader(plan, self.context)
        if part.dtype == self.dtype and plan.mask is None:
            return part
        return make_field_reader(plan, replace(self.context, checks_each=True))


_READERS: dict[type[FieldPlan], Callable[[Any, ReadContext], FieldReader]] = {
    AttributeField: AttributeReader,
    BoxField: BoxReader,
    BoxRunField: BoxRunReader,
    ConstantField: ConstantReader,
    JoinedField: JoinedReader,
    PaddingField: PaddingReader,
    RowField: RowReader,
    RunField: RunReader,
    SeriesField: SeriesReader,
}
