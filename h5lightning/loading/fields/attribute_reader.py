"""Fills attributes, whose values the scan has read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt

from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.fields import AttributeField

__all__ = ["AttributeReader"]


class AttributeReader(FieldReader):
    """Fills an attribute.

    Args:
        plan: what the field is.
        context: what the readers of all fields share.
    """

    def __init__(self, plan: AttributeField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self._values = plan.values

    def fill(self, batch: LocatedBatch, out: npt.NDArray[Any]) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        out[batch.slots] = self._values[batch.files].repeat(batch.sizes, axis=0)
