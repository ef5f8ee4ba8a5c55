"""Fills the number of the category of an attribute, which is the same for all samples of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.file_values import put_rows
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.category_attributes import CategoryAttributeField
from h5lightning.planning.values.categories import NO_CATEGORY

__all__ = ["CategoryAttributeReader"]


class CategoryAttributeReader(FieldReader):
    """Fills numbers that the plan knows."""

    def __init__(self, plan: CategoryAttributeField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: CategoryAttributeField = plan
        numbers, unknown = plan.numbers(), plan.categories.unknown
        is_none = numbers == NO_CATEGORY
        self._values = np.where(is_none, 0 if unknown is None else unknown, numbers).astype(self.dtype)
        self._is_wrong: BoolArray | None = None
        if unknown is None and is_none.any():
            self._is_wrong = is_none.reshape(len(numbers), -1).any(axis=1)

    def fill(self, batch: LocatedBatch, out: npt.NDArray[Any]) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        if not batch.paths:
            return
        if self._is_wrong is not None and (wrong := np.flatnonzero(self._is_wrong[batch.units])).size:
            raise self.plan.error(int(batch.units[wrong[0]]), f"in {batch.where(int(wrong[0]))}")
        put_rows(self._values, batch.units, batch, out)
