"""Rows of a field that lie in memory → the values that are delivered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.category_errors import unknown_value
from h5lightning.planning.fields import RowField, StoredField
from h5lightning.planning.kept_rows import KeptRows
from h5lightning.planning.values.categories import Categories
from h5lightning.planning.values.category_decoder import Delivered
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
        self._coded: tuple[Categories, Delivered] | None = None
        if plan.categories is not None:
            self._coded = plan.categories, Delivered(plan.categories, plan.spec.dtype)
            self._table = self._coded[1].table(kept.numbers(plan.categories))
        else:
            self._table = kept.plain_table()
        self._is_in_unit = isinstance(plan, RowField) and plan.row_numbers.is_in_unit

    def fill(self, batch: LocatedBatch, request: ReadRequest) -> Iterator[Sequence[RowRequest]]:
        """Fill the buffer of a request; see `FieldReader.fill`."""
        yield ()
        if not len(request.rows):
            return
        single = request.by_row()
        shape = single.source.row_shape

        def where(place: tuple[int, ...]) -> str:
            row = int(single.rows[place[0]])
            part = int(single.borders.searchsorted(place[0], side="right")) - 1
            return batch.where(part, row) if self._is_in_unit else f"row {row} of {batch.where(part)}"

        found = self._values(batch.units.repeat(single.sizes), single.rows, math.prod(shape), where)
        single.out[single.slots] = found.reshape(-1, *shape)

    def whole(self, batch: LocatedBatch, part: int, shape: tuple[int, ...]) -> Array:
        """A dataset without a sample axis, ``shape``, of one unit of a batch."""

        def where(place: tuple[int, ...]) -> str:
            at = [int(number) for number in np.unravel_index(place[1], shape)]
            return f"{at} in {batch.where(part)}" if at else batch.where(part)

        found = self._values(batch.units[part : part + 1], np.zeros(1, np.int64), math.prod(shape), where)
        return found.reshape(shape).astype(delivery_dtype(self._plan.spec.dtype), copy=False)

    def _values(
        self, units: Int64Array, rows: Int64Array, size: int, where: Callable[[tuple[int, ...]], str]
    ) -> Array:
        """The values of rows, ``(N, size)``, in the type of the table; ``where`` names the place of one."""
        places = self._kept.places(units, rows, size)
        found: Array = self._table[places]
        if self._coded is not None and (place := self._coded[1].first_unknown(found)) is not None:
            plan, value = self._plan, self._kept.value(int(places[place]))
            raise unknown_value(plan.title, plan.as_asked, self._coded[0], value, f"at {where(place)}")
        return found
