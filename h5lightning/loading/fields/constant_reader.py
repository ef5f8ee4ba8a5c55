"""Fills fields that are the same for all samples of a file: attributes, and datasets without a sample axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.loading.fields.field_decoder import FieldDecoder, column_of
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.fields import AttributeField, ConstantField
from h5lightning.planning.values.conversions import assign

__all__ = ["AttributeReader", "ConstantReader"]

Array = npt.NDArray[Any]


class ConstantReader(FieldReader):
    """Reads a dataset that is the same for all samples of a file."""

    def __init__(self, plan: ConstantField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self._decoder = FieldDecoder.of(plan, context)
        self._columns = [column_of(plan, form) for form in plan.forms]
        self._form_of = plan.form_of
        # Fields of one dataset whose values are made in the same way share them in the cache.
        self._made_by = None if self._decoder is None else (plan.spec.dtype, plan.as_asked.decode)

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        forms = [0] * len(batch.paths) if self._form_of is None else self._form_of[batch.files].tolist()
        for form, path, (start, stop) in zip(
            forms, batch.paths, pairwise(batch.borders.tolist()), strict=True
        ):
            key = (path, self._columns[form], self._made_by)
            values = self.context.constants.get(key, partial(self._read, path, form))
            assign(out, batch.slots[start:stop], values)

    def _read(self, path: str, form: int) -> Array:
        column = self._columns[form]
        values = np.empty(column.row_shape, np.dtype(column.dtype).newbyteorder("="))
        self.context.reader.read_whole(path, column, values)
        return values if self._decoder is None else self._decoder.whole(values, form, path)


class AttributeReader(FieldReader):
    """Fills an attribute."""

    def __init__(self, plan: AttributeField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self._values = plan.values

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        out[batch.slots] = self._values[batch.files].repeat(batch.sizes, axis=0)
