"""Reads a field whose samples are boxes of datasets; see `BoxField`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.loading.fields.box_requests import Boxes, whole_boxes
from h5lightning.loading.fields.field_decoder import FieldDecoder
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.box_field import BoxField

__all__ = ["BoxReader"]

Array = npt.NDArray[Any]


class BoxReader(FieldReader):
    """Reads boxes; without a decoder, stored numbers are delivered, and none is to be checked."""

    def __init__(self, plan: BoxField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: BoxField = plan
        self._decoder = None if plan.is_uniform and not context.checks_each else FieldDecoder(plan)

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        plan, boxes = self.plan, whole_boxes(out, self.plan)
        if self._decoder is not None:
            yield from self._decoded(self._decoder, batch, boxes)
            return
        every = np.arange(len(batch.slots))
        part = Boxes(plan, plan.forms[0], batch, boxes, every, batch.slots).requests(self.context.runs)
        yield part.asked
        for put in part.finish:
            put()

    def _decoded(
        self, decoder: FieldDecoder, batch: LocatedBatch, boxes: Array
    ) -> Iterator[Sequence[RowRequest]]:
        """Read stored numbers, those of each form into a buffer of its own, and decode them."""
        plan, forms = self.plan, self.plan.forms_in(batch.units).repeat(batch.sizes)
        found = []
        for number in np.unique(forms).tolist():
            which, form = np.flatnonzero(forms == number), plan.forms[number]
            dtype = np.dtype(form.dtype).newbyteorder("=")
            stored = np.empty((len(which), *boxes.shape[1:]), dtype)
            slots = np.arange(len(which))
            part = Boxes(plan, form, batch, stored, which, slots).requests(self.context.runs)
            found.append((which, number, stored, part))
        yield [request for *_, part in found for request in part.asked]
        for which, number, stored, part in found:
            for put in part.finish:
                put()
            boxes[batch.slots[which]] = decoder.entries(stored, number, batch, which)
