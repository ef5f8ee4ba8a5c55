"""Keeps what all samples of a file share: tables with a row for each file.

A row is written once and never again, so that threads may copy from a table while others add rows. Files that do not
fit into the tables are kept one by one, and the least recently used one goes first.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import bytes_text
from h5lightning.core.monitor import Guard
from h5lightning.core.process_local import ProcessLocal
from h5lightning.errors import ResourceError

__all__ = ["ConstantCache", "FileRows", "KeptConstants"]

Array = npt.NDArray[Any]


class ConstantCache:
    """The memory of all constant fields; a copy, or the cache in another process, begins empty.

    Args:
        limit_bytes: memory of all values, at most; one value may be larger.
        files: number of files.
    """

    def __init__(self, limit_bytes: int, files: int) -> None:
        self._limit_bytes = limit_bytes
        self._files = files
        self._value_bytes: dict[Hashable, int] = {}
        self._local: ProcessLocal[KeptConstants] = ProcessLocal()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_value_bytes": dict(self._value_bytes), "_local": ProcessLocal()}

    def plan(self, key: Hashable, nbytes: int) -> None:
        """Announce values that take so many bytes in each file, before the first value is kept."""
        self._value_bytes[key] = nbytes

    def kept(self) -> KeptConstants:
        """What this process keeps; any number of threads may use it."""
        return self._local.get(self._make)

    def _make(self) -> KeptConstants:
        each, limit = max(1, sum(self._value_bytes.values())), self._limit_bytes
        if each * self._files <= limit:
            return KeptConstants(self._files, self._files, limit)
        # Orders that read file by file need only the last files: they share a quarter.
        return KeptConstants(self._files, limit // 4 * 3 // each, limit // 4, each * self._files)


class KeptConstants:
    """The values that one process keeps.

    Args:
        files: number of files.
        rows: files that fit into the tables.
        limit_bytes: memory of the others, at most; one value may be larger.
        needed_bytes: what all files need, if they do not fit.
    """

    def __init__(self, files: int, rows: int, limit_bytes: int, needed_bytes: int = 0) -> None:
        self._guard = Guard()
        self._files = files
        self._rows = rows
        self._needed_bytes = needed_bytes
        self._tables: dict[Hashable, FileRows] = {}
        self._others = _Arrays(limit_bytes)

    def table(self, key: Hashable, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FileRows:
        """The table of one kind of value.

        Raises:
            ResourceError: there is no memory for it.
        """
        table = self._tables.get(key)
        return self._guard.run(self._make_table, key, shape, dtype) if table is None else table

    def get(self, key: Hashable, make: Callable[[], Array]) -> Array:
        """The value of a file that does not fit into the tables; made unless it is kept."""
        self._warn()
        values = self._guard.run(self._others.find, key)
        if values is None:
            values = make()
            self._guard.run(self._others.add, key, values)
        return values

    def _make_table(self, key: Hashable, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FileRows:
        if key not in self._tables:
            self._tables[key] = FileRows(self._files, self._rows, shape, dtype)
        return self._tables[key]

    def _warn(self) -> None:
        needed, self._needed_bytes = self._needed_bytes, 0
        if needed:
            warnings.warn(
                f"constant fields take {bytes_text(needed)} for {self._files} files, and access.cache_bytes is too "
                f"small for more than {self._rows} files: in random order, those of the others are read again for "
                f"nearly each sample. Set access.cache_bytes to at least {needed}",
                stacklevel=2,
            )


class FileRows:
    """A table of values, with a row for each file that was added.

    Args:
        files: number of files.
        rows: most rows.
        shape: shape of one value.
        dtype: its type.
    """

    def __init__(self, files: int, rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._guard = Guard()
        self._row_of = np.full(files, -1, np.int64)
        self._used = 0
        try:
            self.values: Array = np.empty((rows, *shape), dtype)  # takes memory only when it is written
        except MemoryError as error:
            raise ResourceError(
                f"there is no memory for the constant fields of {rows} files: use a smaller access.cache_bytes"
            ) from error

    @property
    def is_full(self) -> bool:
        """Whether no row can be added."""
        return self._used == len(self.values)

    def rows(self, files: Int64Array) -> Int64Array:
        """The row of each file; -1 where there is none."""
        return self._guard.run(self._row_of.take, files)

    def add(self, file: int, values: Array) -> int:
        """Add the row of a file, unless there is one; its number, or -1 if the table is full."""
        return self._guard.run(self._add, file, values)

    def _add(self, file: int, values: Array) -> int:
        row = int(self._row_of[file])
        if row < 0 and not self.is_full:
            row = self._used
            self._used = row + 1  # first: an interrupt may lose a row, but none is written twice
            self.values[row] = values
            self._row_of[file] = row
        return row


class _Arrays:
    """Arrays, least recently used first; threads use it inside of a guard."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._values: OrderedDict[Hashable, Array] = OrderedDict()

    def find(self, key: Hashable) -> Array | None:
        values = self._values.get(key)
        if values is not None:
            self._values.move_to_end(key)
        return values

    def add(self, key: Hashable, values: Array) -> None:
        if key in self._values:  # another thread read them too
            return
        # In one line, so that no interrupt comes between the two.
        self._values[key], self._bytes = values, self._bytes + values.nbytes
        while self._bytes > self._limit_bytes and len(self._values) > 1:
            self._bytes -= self._values.popitem(last=False)[1].nbytes
