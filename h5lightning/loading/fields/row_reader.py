"""Reads fields with values for each sample: single rows, or steps of windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.loading.fields.field_decoder import FieldDecoder, column_of
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.options import Windows
from h5lightning.planning.fields import RowField
from h5lightning.storage.readers.protocol import ReadRequest

__all__ = ["RowReader"]


class RowReader(FieldReader):
    """Reads rows of a dataset."""

    def __init__(self, plan: RowField, context: ReadContext) -> None:
        super().__init__(plan, context)
        # Without a decoder, rows are read straight into the batch.
        self._decoder = FieldDecoder.of(plan, context)
        self._column = column_of(plan, plan.forms[0])
        dilation = context.samples.dilation if isinstance(context.samples, Windows) else 1
        self._offsets = None if plan.steps is None else np.arange(*plan.steps) * dilation
        self._slots = np.arange(0 if self._offsets is None else len(self._offsets))

    def fill(self, batch: LocatedBatch, out: npt.NDArray[Any]) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        request = self._request(batch, out)
        if self._decoder is None:
            yield (RowRequest(request),)
        else:
            yield from self._decoder.fill(batch, request)

    def _request(self, batch: LocatedBatch, out: npt.NDArray[Any]) -> ReadRequest:
        if self._offsets is None:
            return ReadRequest(self._column, batch.borders, batch.rows, batch.slots, out)
        steps = len(self._offsets)
        rows = (batch.rows[:, None] + self._offsets).ravel()
        slots = (batch.slots[:, None] * steps + self._slots).ravel()
        out = out.reshape(len(out) * steps, *self._column.row_shape)
        return ReadRequest(self._column, batch.borders * steps, rows, slots, out)
