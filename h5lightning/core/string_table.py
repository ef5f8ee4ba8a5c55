"""Many strings in two NumPy arrays.

Reference counts of a list of a million paths would dirty over 100 MiB in every forked worker. The arrays stay shared.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.frozen import EqualByValue, Frozen

__all__ = ["StringTable"]


@dataclass(frozen=True, slots=True, eq=False)
class StringTable(EqualByValue, Frozen):
    """An immutable sequence of strings in two arrays.

    Args:
        blob: the encoded strings, one after the other, ``(bytes,)`` uint8.
        ends: end of each string in ``blob``, ``(strings,)`` int64, ascending.
    """

    blob: npt.NDArray[np.uint8]
    ends: Int64Array

    def __post_init__(self) -> None:
        expected = int(self.ends[-1]) if self.ends.size else 0
        if expected != self.blob.size:
            raise ValueError(f"a string table needs {expected} bytes, found {self.blob.size}")

    @classmethod
    def of(cls, texts: Iterable[str]) -> StringTable:
        """The table of ``texts``; names that are not valid Unicode are kept (``os.fsencode``)."""
        encoded = [os.fsencode(text) for text in texts]
        lengths = np.fromiter((len(text) for text in encoded), dtype=np.int64, count=len(encoded))
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum(lengths))

    @classmethod
    def of_bytes(cls, texts: npt.NDArray[np.bytes_]) -> StringTable:
        """The table of encoded strings, ``(strings,)``; zero bytes at their ends do not count."""
        characters = np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), texts.dtype.itemsize)
        lengths = np.char.str_len(texts).astype(np.int64)
        return cls(characters[np.arange(characters.shape[1]) < lengths[:, None]], np.cumsum(lengths))

    @classmethod
    def concatenated(cls, tables: Sequence[StringTable]) -> StringTable:
        """The strings of all tables, one after the other."""
        starts = np.cumsum([0, *(table.blob.size for table in tables)]).tolist()
        ends = [table.ends + start for table, start in zip(tables, starts, strict=False)]
        blobs = [np.zeros(0, np.uint8), *(table.blob for table in tables)]
        return cls(np.concatenate(blobs), np.concatenate([np.zeros(0, np.int64), *ends]))

    def take(self, positions: Int64Array) -> StringTable:
        """The strings at ``positions``, ``(strings,)``, in that order."""
        ends = self.ends[positions]
        # Of the positions alone: taking the names of each file from a table of all must not cost files × names.
        starts = np.where(positions % max(1, len(self)) > 0, self.ends[positions - 1], 0)
        lengths = ends - starts
        return StringTable(self.blob[flat_positions(starts, lengths)], np.cumsum(lengths))

    def part(self, start: int, stop: int) -> StringTable:
        """The strings from ``start`` to ``stop``, which share the bytes of this table."""
        first = int(self.ends[start - 1]) if start else 0
        ends = self.ends[start:stop] - first
        return StringTable(self.blob[first : first + (int(ends[-1]) if ends.size else 0)], ends)

    def __len__(self) -> int:
        return int(self.ends.size)

    def __getitem__(self, position: int) -> str:
        size = len(self)
        if not -size <= position < size:
            raise IndexError(f"position {position} is outside of a table of {size} strings")
        position %= size
        start = int(self.ends[position - 1]) if position else 0
        return os.fsdecode(self.blob[start : int(self.ends[position])].tobytes())

    def __iter__(self) -> Iterator[str]:
        blob, start = self.blob.tobytes(), 0
        for end in self.ends.tolist():
            yield os.fsdecode(blob[start:end])
            start = end
