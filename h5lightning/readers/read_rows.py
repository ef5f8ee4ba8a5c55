"""Rows that are stored as they are, read by calls of the system: for files that cannot, or must not, be mapped.

On a network file system another machine may take a file away, and who looks at a map of it is killed. A call fails
there, with an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from h5lightning.coalescing import coalesce
from h5lightning.readers.delivering import Delivery
from h5lightning.readers.protocol import Take
from h5lightning.readers.storage_map import StorageMap

__all__ = ["ByteReader", "ReadRows"]

Bytes = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]


class ByteReader(Protocol):
    """An open file that is read by calls of the system."""

    def read(self, offset: int, size: int, scratch: Bytes | None = None) -> Bytes:
        """Bytes of the file, ``(size,)``; see `RawFile.read`."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadRows:
    """Whole rows of one dataset; see `Table`.

    Args:
        file: the open file.
        storage: where the rows lie.
        scratch: memory of this thread for what is read; see `Decoding.scratch`.
    """

    file: ByteReader
    storage: StorageMap
    scratch: Callable[[], Bytes]

    @property
    def group(self) -> object:
        """See `Table.group`: each file alone."""
        return self

    @staticmethod
    def joined(tables: Sequence[ReadRows]) -> ReadRows:
        """See `Table.joined`."""
        (table,) = tables
        return table

    def put(self, take: Take, to: Delivery) -> None:
        """See `Joined.put`."""
        row_bytes = self.storage.row_bytes
        starts, _ = self.storage.stretches(take.rows)
        order = np.argsort(starts, kind="stable")
        starts, slots = starts[order], take.slots[order]
        # Rows of one run lie whole rows apart from each other; those of other chunks may not.
        rows, rest = np.divmod(starts, row_bytes)
        for shift in np.unique(rest).tolist():
            some = np.flatnonzero(rest == shift)
            runs = coalesce(rows[some], row_bytes=row_bytes)
            columns = (runs.starts, runs.stops, runs.first[:-1], runs.first[1:])
            for start, stop, first, last in zip(*(column.tolist() for column in columns), strict=True):
                wanted = some[first:last]
                run = _Run(start * row_bytes + shift, stop - start, rows[wanted] - start, slots[wanted])
                self._put_run(run, to)

    def _put_run(self, run: _Run, to: Delivery) -> None:
        row_bytes = self.storage.row_bytes
        into = to.memory(run.slots) if len(run.slots) == run.rows else None
        found = self.file.read(run.start, run.rows * row_bytes, self.scratch() if into is None else into)
        if into is None or not np.may_share_memory(found, into):
            to.put(found.reshape(run.rows, row_bytes), run.wanted[:, None], run.slots)


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Neighbouring rows that are read together: from which byte, how many, which are wanted, and for which slots."""

    start: int
    rows: int
    wanted: Int64Array
    slots: Int64Array
