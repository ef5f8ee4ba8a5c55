"""The extents of all datasets of many files, in a few flat arrays.

A file of a million chunks takes 8 to 24 MB here. The arrays are mapped from the index on disk and never
pickled: a table says where it came from, and another process maps it for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.planning.catalog.extents import Extents, FilterValues

__all__ = ["ExtentTable", "Form"]

Form: TypeAlias = tuple[FilterValues, str, int]  # filters, reason, and numbers kept of each chunk

_UNKNOWN = -1


@dataclass(frozen=True, slots=True, eq=False)
class ExtentTable(Frozen):
    """The extents of datasets by position, where they are known.

    A pickle holds no array: it maps them again, and knows nothing where that cannot be done.

    Args:
        forms: the distinct forms of extents; the datasets of a data set have few.
        form_of: the form of each dataset, -1 where nothing is known, ``(datasets,)`` int32.
        ends: where the numbers of each dataset end, ``(datasets,)``, ascending.
        numbers: the numbers of all datasets, one after the other; see `Extents.numbers`.
        origin: gives the same table in another process, or None; None where it lies in this process's memory alone.
    """

    forms: tuple[Form, ...]
    form_of: npt.NDArray[np.int32]
    ends: Int64Array
    numbers: Int64Array
    origin: Callable[[], ExtentTable | None] | None = None

    def __post_init__(self) -> None:
        found = (len(self.ends), len(self.numbers))
        expected = (len(self.form_of), int(self.ends[-1]) if len(self.ends) else 0)
        if found != expected:
            raise ValueError(f"a table of extents: found parts of {found}, expected {expected}")

    @classmethod
    def of(cls, extents: Iterable[Extents | None]) -> ExtentTable:
        """The table of some extents; None where nothing is known."""
        numbers: dict[Form, int] = {}
        form_of: list[int] = []
        parts: list[Int64Array] = []
        sizes: list[int] = []
        for found in extents:
            if found is None:
                form_of.append(_UNKNOWN)
                sizes.append(0)
                continue
            form = (found.filters, found.reason, len(found.numbers))
            form_of.append(numbers.setdefault(form, len(numbers)))
            sizes.append(found.numbers.size)
            parts.append(found.numbers.ravel())
        ends = np.cumsum(np.asarray(sizes, dtype=np.int64))
        return cls(tuple(numbers), np.asarray(form_of, dtype=np.int32), ends, _concatenated(parts))

    @classmethod
    def unknown(cls, size: int) -> ExtentTable:
        """A table that knows nothing of ``size`` datasets."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls((), np.full(size, _UNKNOWN, dtype=np.int32), np.zeros(size, dtype=np.int64), nothing)

    @classmethod
    def joined(cls, first: ExtentTable, second: ExtentTable) -> ExtentTable:
        """The extents of both, one after the other."""
        numbers = {form: number for number, form in enumerate(first.forms)}
        renumbered = [numbers.setdefault(form, len(numbers)) for form in second.forms]
        form_of = np.asarray([*renumbered, _UNKNOWN], dtype=np.int32)[second.form_of]
        return cls(
            tuple(numbers),
            np.concatenate([first.form_of, form_of]),
            np.concatenate([first.ends, second.ends + len(first.numbers)]),
            np.concatenate([first.numbers, second.numbers]),
        )

    def take(self, positions: Int64Array) -> ExtentTable:
        """The extents at ``positions``, ``(datasets,)``, in that order."""
        starts, ends = self._starts()[positions], self.ends[positions]
        used, form_of = np.unique(self.form_of[positions], return_inverse=True)
        missing = int(used.size > 0 and used[0] == _UNKNOWN)
        return ExtentTable(
            tuple(self.forms[number] for number in used[missing:].tolist()),
            form_of.reshape(-1).astype(np.int32) - np.int32(missing),
            np.cumsum(ends - starts),
            self._numbers_of(positions, starts, ends),
        )

    def __len__(self) -> int:
        return len(self.form_of)

    def __getitem__(self, position: int) -> Extents | None:
        """The extents of one dataset, which share the memory of the table; None where nothing is known."""
        form = int(self.form_of[position])
        if form == _UNKNOWN:
            return None
        filters, reason, parts = self.forms[form]
        start = int(self.ends[position - 1]) if position else 0
        return Extents(self.numbers[start : int(self.ends[position])].reshape(parts, -1), filters, reason)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExtentTable):
            return NotImplemented
        arrays = ((getattr(table, name) for name in _ARRAYS) for table in (self, other))
        return self.forms == other.forms and all(map(np.array_equal, *arrays))

    __hash__ = None  # type: ignore[assignment]  # compared by value, and the arrays could be changed

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.origin, len(self))

    @property
    def known(self) -> int:
        """Datasets of which something is known."""
        return int(np.count_nonzero(self.form_of != _UNKNOWN))

    @property
    def chunks(self) -> int:
        """Chunks of all datasets; a contiguous dataset is one."""
        parts = np.asarray([parts for _, _, parts in self.forms] + [1], dtype=np.int64)
        return int(((self.ends - self._starts()) // parts[self.form_of]).sum())

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(getattr(self, name).nbytes for name in _ARRAYS)

    def _starts(self) -> Int64Array:
        return np.concatenate([np.zeros(1, dtype=np.int64), self.ends[:-1]])[: len(self)]

    def _numbers_of(self, positions: Int64Array, starts: Int64Array, ends: Int64Array) -> Int64Array:
        """The numbers of some datasets; neighbours are copied together, without an index for each number."""
        if not positions.size:
            return self.numbers[:0]
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1
        first = starts[np.concatenate([[0], breaks])].tolist()
        last = ends[np.concatenate([breaks, [len(positions)]]) - 1].tolist()
        return _concatenated([self.numbers[start:end] for start, end in zip(first, last, strict=True)])


_ARRAYS = ("form_of", "ends", "numbers")


def _concatenated(parts: list[Int64Array]) -> Int64Array:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _again(origin: Callable[[], ExtentTable | None] | None, size: int) -> ExtentTable:
    """The table in another process; if its origin is gone or another one, it knows nothing, but still asks it."""
    found = origin() if origin is not None else None
    if found is not None and len(found) == size:
        return found
    return replace(ExtentTable.unknown(size), origin=origin)
