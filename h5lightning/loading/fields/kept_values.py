"""Rows of a field that lie in memory → the values that are delivered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.category_errors import unknown_value
from h5lightning.planning.fields import RowField, StoredField
from h5lightning.planning.kept_rows import KeptRows
from h5lightning.planning.values.category_decoder import first_unknown
from h5lightning.planning.values.conversions import delivery_dtype
from h5lightning.storage.readers.protocol import ReadRequest

__all__ = ["KeptValues"]

Array = npt.NDArray[Any]


class KeptValues:
    """Fills buffers from memory, as `FieldDecoder` does from files.

    Args:
        plan: the field.
        kept: its rows.
    """

    def __init__(self, plan: StoredField, kept: KeptRows) -> None:
        self._plan = plan
        self._kept = kept
        self._table = kept.table(plan.categories, plan.spec.dtype)
        self._is_in_unit = isinstance(plan, RowField) and plan.row_numbers.is_in_unit

    def fill(self, batch: LocatedBatch, request: ReadRequest) -> Iterator[Sequence[RowRequest]]:
        """Fill the buffer of a request; see `FieldReader.fill`."""
        yield ()
        if not len(request.rows):
            return
        single = request.by_row()
        shape = single.source.row_shape
        units = batch.units.repeat(single.sizes)
        places = self._kept.places(units, single.rows, math.prod(shape))
        single.out[single.slots] = self._delivered(places, batch, single).reshape(-1, *shape)

    def whole(self, batch: LocatedBatch, part: int, shape: tuple[int, ...]) -> Array:
        """A dataset without a sample axis, ``shape``, of one unit of a batch."""
        unit = batch.units[part : part + 1]
        places = self._kept.places(unit, np.zeros(1, np.int64), math.prod(shape))
        found = self._table[places]

        def where(place: tuple[int, ...]) -> str:
            at = [int(number) for number in np.unravel_index(place[1], shape)]
            return f"{at} in {batch.where(part)}" if at else batch.where(part)

        self._check(found, places, where)
        return found.reshape(shape).astype(delivery_dtype(self._plan.spec.dtype), copy=False)

    def _delivered(self, places: Int64Array, batch: LocatedBatch, request: ReadRequest) -> Array:
        found: Array = self._table[places]

        def where(place: tuple[int, ...]) -> str:
            row = int(request.rows[place[0]])
            part = int(request.borders.searchsorted(place[0], side="right")) - 1
            return batch.where(part, row) if self._is_in_unit else f"row {row} of {batch.where(part)}"

        self._check(found, places, where)
        return found

    def _check(self, found: Array, places: Int64Array, where: Any) -> None:
        categories = self._plan.categories
        if categories is None:
            return
        place = first_unknown(found, categories)
        if place is not None:
            value = self._kept.value(int(places[place]))
            plan = self._plan
            raise unknown_value(plan.title, plan.as_asked, categories, value, f"at {where(place)}")
