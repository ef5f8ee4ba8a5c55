"""The parts of a joined field: read in one go, and put side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.fields import JoinedField, StoredField

__all__ = ["JoinedParts"]

Array = npt.NDArray[Any]


class JoinedParts:
    """The readers of the parts of a field.

    Args:
        plan: the field.
        dtype: the type of its buffer.
        make: makes the reader of a part.
        context: what the readers of all fields share.
    """

    def __init__(
        self,
        plan: JoinedField,
        dtype: np.dtype[Any],
        make: Callable[[Any, ReadContext], FieldReader],
        context: ReadContext,
    ) -> None:
        self._dtype = dtype
        self._make = make
        self._context = context
        self.readers = [self._reader(part) for part in plan.parts]
        self._spans = [slice(*span) for span in pairwise(plan.borders)]

    def fill(
        self, batch: LocatedBatch, out: Array, axis: int, *, is_stored: bool
    ) -> Iterator[Sequence[RowRequest]]:
        """Fill a buffer; see `FieldReader.fill`.

        Args:
            batch: the samples.
            out: the buffer, in which the parts lie side by side.
            axis: the axis of the buffer along which they do.
            is_stored: whether stored numbers are asked for, in a type that holds those of all parts.
        """
        readers = self.readers
        buffers = [one.buffer_for(batch, (one.stored_dtype if is_stored else None)) for one in readers]
        fills = [one.fill(batch, buffer) for one, buffer in zip(readers, buffers, strict=True)]
        # In one go, so that a table is read once for all its columns.
        for asked in zip_longest(*fills, fillvalue=()):
            yield [request for requests in asked for request in requests]
        before = (slice(None),) * axis
        for span, buffer in zip(self._spans, buffers, strict=True):
            place = (*before, span)
            target = out[place]
            with np.errstate(invalid="ignore"):  # a NaN that signals
                np.copyto(target, buffer.reshape(target.shape), casting="unsafe")

    @property
    def stored_dtype(self) -> np.dtype[Any] | None:
        """A type for the stored numbers of all parts, where the reader converts some of them; else None."""
        stored = [one.stored_dtype for one in self.readers]
        if all(dtype is None for dtype in stored):
            return None
        return np.result_type(*(dtype or one.dtype for dtype, one in zip(stored, self.readers, strict=True)))

    def _reader(self, plan: StoredField) -> FieldReader:
        """The reader of a part, which checks each number that cannot be checked once the parts are joined."""
        reader = self._make(plan, self._context)
        if reader.dtype == self._dtype and plan.mask is None:
            return reader
        return self._make(plan, replace(self._context, checks_each=True))
