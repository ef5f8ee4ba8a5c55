"""Puts what all samples of a file share into a batch: one copy for each sample, in one call for all files."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.fields.constant_cache import ConstantCache
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.planning.values.conversions import assign

__all__ = ["FileValues", "put_each", "put_rows"]

Array = npt.NDArray[Any]


def put_rows(values: Array, rows: Int64Array, batch: LocatedBatch, out: Array) -> None:
    """Give each sample the row of its file.

    Args:
        values: a table, ``(rows, …)``.
        rows: the row of each file of the batch, ``(files,)``; samples of files with -1 get arbitrary values.
        batch: the samples.
        out: the buffer, ``(N, …)``, of the same type.
    """
    if len(rows) == 1:
        out[...] = values[rows[0]]
        return
    row_of_slot = np.empty(len(out), np.int64)
    row_of_slot[batch.slots] = rows.repeat(batch.sizes)
    # NumPy copies straight into `out` only in this mode.
    np.take(values, row_of_slot, axis=0, out=out, mode="clip")


def put_each(found: Iterable[tuple[int, Array]], batch: LocatedBatch, out: Array) -> None:
    """Give each sample of some files, named by their index in the batch, the values of its file.

    Raises:
        FloatingPointError: a finite value would become infinite in the type of the buffer.
    """
    for number, values in found:
        start, stop = batch.borders[number : number + 2]
        assign(out, batch.slots[start:stop], values)


class FileValues:
    """Values that are read once for each file, and kept while they fit.

    Args:
        cache: keeps them.
        key: what they are; values with one key are shared.
        shape: their shape.
        dtype: their type.
    """

    def __init__(
        self, cache: ConstantCache, key: Hashable, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._cache = cache
        self._key = key
        self._shape = shape
        self._dtype = dtype
        cache.plan(key, math.prod(shape) * dtype.itemsize)

    def put(self, batch: LocatedBatch, out: Array, read: Callable[[int], Array]) -> None:
        """Fill a buffer.

        Args:
            batch: the samples, at least one.
            out: the buffer, ``(N, *shape)``, of the type of the values.
            read: index of a file in the batch → its values, where they are not kept.
        """
        kept = self._cache.kept()
        table = kept.table(self._key, self._shape, self._dtype)
        rows = table.rows(batch.units)
        others: list[tuple[int, Array]] = []
        for number in np.flatnonzero(rows < 0).tolist():
            file, make = int(batch.units[number]), partial(read, number)
            values = kept.get((self._key, file), make) if table.is_full else make()
            rows[number] = table.add(file, values)
            if rows[number] < 0:
                others.append((number, values))
        if len(others) < len(rows):
            put_rows(table.values, rows, batch, out)
        put_each(others, batch, out)
