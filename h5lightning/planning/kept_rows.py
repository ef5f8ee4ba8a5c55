"""The rows of a field whose values lie in memory, since the scan read them: no batch reads the file for them.

A row has the position of its value in a list, which few bytes hold: text and numbers of categories are kept so, and
columns of tables that are matched by the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.planning.values.categories import NO_CATEGORY, Categories, Value

__all__ = ["KeptRows"]


@dataclass(frozen=True, eq=False)
class KeptRows(Frozen):
    """Where the value of each row of each unit stands: ``values[first_value[unit] + codes[first_code[unit] + row]]``.

    A row of several numbers has as many codes, one after the other.

    Args:
        codes: position of each value in the list of its unit, -1 for a missing one; any signed integers, ``(codes,)``.
        first_code: position of the first code of each unit, ``(units,)``.
        first_value: position in `values` of the list of each unit, ``(units,)``.
        values: the values of all lists, list after list, as they are delivered; with `names`, positions in these.
        names: the distinct values of a field with categories; None for a field that delivers `values` themselves.
    """

    codes: npt.NDArray[np.signedinteger[Any]]
    first_code: Int64Array
    first_value: Int64Array
    values: npt.NDArray[Any]
    names: tuple[Value, ...] | None = None

    def plain_table(self) -> npt.NDArray[Any]:
        """The values, and 0 for a missing one after them, ``(values + 1,)``; of a field without categories."""
        return np.append(self.values, np.zeros(1, self.values.dtype))

    def numbers(self, categories: Categories) -> Int64Array:
        """The number of the category of each of `values`, and `NO_CATEGORY` after them, ``(values + 1,)``."""
        found = np.append(categories.numbers(self.names or ()), NO_CATEGORY)
        # Lists that no unit of the field has keep the position -1.
        return np.append(found[self.values], NO_CATEGORY)

    def places(self, units: Int64Array, rows: Int64Array, size: int) -> Int64Array:
        """The position in a table of each value of some rows.

        Args:
            units: the unit of each row, ``(N,)``.
            rows: the rows, ``(N,)``.
            size: values of a row.

        Returns:
            ``(N, size)``.
        """
        first = self.first_code[units] + rows * size
        codes = self.codes[first[:, None] + np.arange(size)].astype(np.int64)
        return np.where(codes < 0, len(self.values), codes + self.first_value[units][:, None])

    def value(self, place: int) -> Value | None:
        """The value at a position in a table, for messages; None for a missing one."""
        if place >= len(self.values):
            return None
        value: Any = self.values[place].item()
        if self.names is not None and value < 0:
            return None
        found: Value = value if self.names is None else self.names[value]
        return found
