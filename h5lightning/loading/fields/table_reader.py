"""Fills the columns of the table beside the files, which are the same for all samples of a series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.tables.column_fields import TableField

__all__ = ["TableReader"]


class TableReader(FieldReader):
    """Fills values of series, which the plan has."""

    def __init__(self, plan: TableField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: TableField = plan
        values, self._is_wrong = plan.delivered()
        self._values = values.astype(self.dtype, copy=False)
        self._has_wrong = bool(self._is_wrong.any())

    def fill(self, batch: LocatedBatch, out: npt.NDArray[Any]) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield ()
        series = batch.series
        if self._has_wrong and (wrong := np.flatnonzero(self._is_wrong[series])).size:
            first = int(series[wrong[0]])
            raise self.plan.error(first, f"in {batch.index.where(first)}")
        out[batch.slots] = self._values[series]
