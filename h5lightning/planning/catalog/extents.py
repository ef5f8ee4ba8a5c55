"""The positions of the values of datasets in their files, which the scan asks from libhdf5 once.

Pure data: opens no file. A table of many datasets holds them in a few flat arrays; a file of a million chunks takes 8
to 24 MB. The arrays are mapped from the index on disk and never pickled: a pickle holds the origin of the table, and
another process maps the arrays itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.core.frozen import EqualByValue, Frozen
from h5lightning.planning.catalog.record_layout import RecordLayout

__all__ = ["UNKNOWN", "ExtentForm", "ExtentTable", "Extents", "FilterValues"]

FilterValues: TypeAlias = tuple[
    tuple[int, tuple[int, ...]], ...
]  # number and client values, in the order of writing
# Filters, reason, numbers kept of each chunk, and where the columns of a table lie.
ExtentForm: TypeAlias = tuple[FilterValues, str, int, RecordLayout | None]

_NOTHING = np.zeros((1, 0), dtype=np.int64)
UNKNOWN = -1  # in place of the number of a form


@dataclass(frozen=True, slots=True, eq=False)
class Extents(EqualByValue):
    """The stored chunks of one dataset.

    A contiguous dataset has one chunk; a dataset without values, or that only HDF5 can read, has none.

    Args:
        numbers: ``(1, 2 or 3, chunks)``: the first byte of each chunk, in the order of the grid; its stored bytes,
            unless each chunk has full size; its mask of skipped filters, unless none was skipped.
        reason: the reason why only HDF5 can read it, to follow the name of the dataset; empty if it can be read
            without HDF5.
        record: where the columns lie in each record; None if the dataset is no table.
    """

    numbers: Int64Array
    filters: FilterValues = ()
    reason: str = ""
    record: RecordLayout | None = None

    @classmethod
    def of(
        cls,
        offsets: Int64Array,
        sizes: Int64Array,
        masks: Int64Array,
        chunk_bytes: int,
        filters: FilterValues,
    ) -> Extents:
        """The extents of chunks, ``(chunks,)`` each; sizes and masks are left out if they are all the default."""
        if masks.any():
            return cls(np.stack([offsets, sizes, masks]), filters)
        if (sizes != chunk_bytes).any():
            return cls(np.stack([offsets, sizes]), filters)
        return cls(offsets[None], filters)

    @classmethod
    def unreadable(cls, reason: str) -> Extents:
        """A dataset that only HDF5 can read."""
        return cls(_NOTHING, (), reason)

    @classmethod
    def nothing(cls) -> Extents:
        """A dataset without values: none of its chunks is ever read."""
        return cls(_NOTHING)

    @property
    def form(self) -> ExtentForm:
        """What the extents of many datasets have in common."""
        return self.filters, self.reason, len(self.numbers), self.record

    @property
    def offsets(self) -> Int64Array:
        """First byte of each chunk, ``(chunks,)``."""
        return self._row(0, 0)

    def sizes(self, chunk_bytes: int) -> Int64Array:
        """Stored bytes of each chunk, ``(chunks,)``; ``chunk_bytes`` are the bytes of a chunk without filters."""
        return self._row(1, chunk_bytes)

    @property
    def masks(self) -> Int64Array:
        """Mask of skipped filters of each chunk, ``(chunks,)``."""
        return self._row(2, 0)

    def itemsize(self, dtype: str) -> int:
        """Bytes of a stored element of a dataset with this NumPy type string, or of a record of a table."""
        return np.dtype(dtype).itemsize if self.record is None else self.record.itemsize

    def _row(self, row: int, default: int) -> Int64Array:
        if len(self.numbers) > row:
            stored: Int64Array = self.numbers[row]
            return stored
        return _all_equal(default, self.numbers.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class ExtentTable(EqualByValue, Frozen):
    """The extents of many datasets, if they are known.

    Args:
        layouts: the distinct layouts of extents; the files of one data set have few.
        layout_of: the layout of each dataset, -1 if its extents are not known, ``(datasets,)`` int32.
        ends: end of the numbers of each dataset, ``(datasets,)``, ascending.
        numbers: the numbers of all datasets, one after the other; see `Extents.numbers`.
        origin: loads the same table in another process, which knows no extents if it returns None; None if the table
            exists only in memory.
    """

    layouts: tuple[ExtentForm, ...]
    layout_of: npt.NDArray[np.int32]
    ends: Int64Array
    numbers: Int64Array
    origin: Callable[[], ExtentTable | None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        sizes = (len(self.ends), len(self.numbers))
        expected = (len(self.layout_of), int(self.ends[-1]) if len(self.ends) else 0)
        if sizes != expected:
            raise ValueError(f"a table of extents: found parts of {sizes}, expected {expected}")

    @classmethod
    def of(cls, extents: Iterable[Extents | None]) -> ExtentTable:
        """The table of these extents, each of them None if it is not known."""
        numbers: dict[ExtentForm, int] = {}
        layout_of: list[int] = []
        parts: list[Int64Array] = []
        sizes: list[int] = []
        for each in extents:
            if each is None:
                layout_of.append(UNKNOWN)
                sizes.append(0)
                continue
            layout_of.append(numbers.setdefault(each.form, len(numbers)))
            sizes.append(each.numbers.size)
            parts.append(each.numbers.ravel())
        ends = np.cumsum(np.asarray(sizes, dtype=np.int64))
        return cls(
            tuple(numbers), np.asarray(layout_of, dtype=np.int32), ends, np.concatenate([_NOTHING[0], *parts])
        )

    @classmethod
    def unknown(cls, size: int) -> ExtentTable:
        """A table of ``size`` datasets without known extents."""
        layout_of, ends = np.full(size, UNKNOWN, dtype=np.int32), np.zeros(size, dtype=np.int64)
        return cls((), layout_of, ends, _NOTHING[0])

    @classmethod
    def concatenated(cls, tables: Sequence[ExtentTable]) -> ExtentTable:
        """The extents of all tables, one after the other."""
        layouts: dict[ExtentForm, int] = {}
        layout_of = [np.zeros(0, np.int32)]
        for table in tables:
            new_numbers = [layouts.setdefault(layout, len(layouts)) for layout in table.layouts]
            layout_of.append(np.asarray([*new_numbers, UNKNOWN], dtype=np.int32)[table.layout_of])
        starts = np.cumsum([0, *(len(table.numbers) for table in tables)]).tolist()
        ends = [table.ends + start for table, start in zip(tables, starts, strict=False)]
        return cls(
            tuple(layouts),
            np.concatenate(layout_of),
            np.concatenate([_NOTHING[0], *ends]),
            np.concatenate([_NOTHING[0], *(table.numbers for table in tables)]),
        )

    def take(self, positions: Int64Array) -> ExtentTable:
        """The extents at ``positions``, ``(datasets,)``, in that order."""
        starts, ends = self._starts()[positions], self.ends[positions]
        used, _, layout_of = distinct(self.layout_of[positions])
        missing = int(used.size > 0 and used[0] == UNKNOWN)
        return ExtentTable(
            tuple(self.layouts[number] for number in used[missing:].tolist()),
            layout_of.astype(np.int32) - np.int32(missing),
            np.cumsum(ends - starts),
            self._numbers_of(positions, starts, ends),
        )

    def __len__(self) -> int:
        return len(self.layout_of)

    def __getitem__(self, position: int) -> Extents | None:
        """The extents of one dataset, which share the memory of the table; None if they are not known."""
        layout = int(self.layout_of[position])
        if layout == UNKNOWN:
            return None
        filters, reason, parts, record = self.layouts[layout]
        start = int(self.ends[position - 1]) if position else 0
        numbers = self.numbers[start : int(self.ends[position])].reshape(parts, -1)
        return Extents(numbers, filters, reason, record)

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.origin, len(self))

    @property
    def known(self) -> int:
        """Number of datasets with known extents."""
        return int(np.count_nonzero(self.layout_of != UNKNOWN))

    @property
    def chunks(self) -> int:
        """Number of chunks of all datasets; a contiguous dataset counts as one."""
        parts = np.asarray([parts for _, _, parts, _ in self.layouts] + [1], dtype=np.int64)
        return int(((self.ends - self._starts()) // parts[self.layout_of]).sum())

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.layout_of.nbytes + self.ends.nbytes + self.numbers.nbytes

    def _starts(self) -> Int64Array:
        return np.concatenate([np.zeros(1, dtype=np.int64), self.ends[:-1]])[: len(self)]

    def _numbers_of(self, positions: Int64Array, starts: Int64Array, ends: Int64Array) -> Int64Array:
        """The numbers of several datasets; neighbours are copied together, without an index for each number."""
        if not positions.size:
            return self.numbers[:0]
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1
        first = starts[np.concatenate([[0], breaks])].tolist()
        last = ends[np.concatenate([breaks, [len(positions)]]) - 1].tolist()
        return np.concatenate([self.numbers[start:end] for start, end in zip(first, last, strict=True)])


def _again(origin: Callable[[], ExtentTable | None] | None, size: int) -> ExtentTable:
    """The table in another process; without known extents if the origin is gone or has changed."""
    table = origin() if origin is not None else None
    if table is not None and len(table) == size:
        return table
    return replace(ExtentTable.unknown(size), origin=origin)


@lru_cache(maxsize=256)
def _all_equal(value: int, count: int) -> Int64Array:
    """An array of one value, which takes no memory and is shared by all files of a layout."""
    return np.broadcast_to(np.int64(value), (count,))
