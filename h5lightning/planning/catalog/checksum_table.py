"""Checksums of the bytes of files, block by block, in a few flat arrays.

The checksums cover the file on disk and not its datasets. So they hold for every reader and filter, and also cover the
metadata that HDF5 writes around the values. Pure data: opens no file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.core.string_table import StringTable

__all__ = ["BLOCK_BYTES", "ChecksumTable", "FileChecksums", "block_count", "blocks_of_values"]


# Reading a single row also reads and hashes the rest of its block: for 256 rows, 16 MiB with blocks of 64 KiB. Smaller
# blocks are hashed slower (4 KiB at 6 GB/s, 64 KiB at 14), and each needs 8 bytes for its hash.
BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class FileChecksums:
    """The checksums of one file.

    Args:
        size: bytes of the file.
        mtime_ns: time of modification of the file when the checksums were made.
        hashes: XXH3 of each block, ``(blocks,)``.
        is_values: whether a block holds only values of datasets, ``(blocks,)``.
    """

    size: int
    mtime_ns: int
    hashes: npt.NDArray[np.uint64]
    is_values: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class ChecksumTable(Frozen):
    """The checksums of many files.

    A pickle holds no array: another process loads the table again, and has an empty one if that fails.

    Args:
        names: names of the files, sorted.
        stamps: size and mtime_ns of each file, ``(files, 2)``.
        ends: end of the blocks of each file, ``(files,)``.
        hashes: hashes of all blocks, file after file, ``(blocks,)``.
        is_values: see `FileChecksums`, ``(blocks,)``.
        origin: loads the table in another process, or returns None.
    """

    names: StringTable
    stamps: Int64Array
    ends: Int64Array
    hashes: npt.NDArray[np.uint64]
    is_values: BoolArray
    origin: Callable[[], ChecksumTable | None] | None = None

    def __post_init__(self) -> None:
        files = len(self.names)
        blocks = int(self.ends[-1]) if files else 0
        sizes = (self.stamps.shape, len(self.ends), len(self.hashes), len(self.is_values))
        if sizes != ((files, 2), files, blocks, blocks):
            raise ValueError(f"checksums of {files} files with {blocks} blocks: found parts of {sizes}")

    @classmethod
    def of(cls, files: Mapping[str, FileChecksums]) -> ChecksumTable:
        """The table of these files."""
        names = sorted(files)
        listed = [files[name] for name in names]
        stamps = np.asarray([(one.size, one.mtime_ns) for one in listed], dtype=np.int64).reshape(-1, 2)
        ends = np.cumsum(np.asarray([len(one.hashes) for one in listed], dtype=np.int64))
        hashes = np.concatenate([np.zeros(0, np.uint64), *(one.hashes for one in listed)])
        is_values = np.concatenate([np.zeros(0, np.bool_), *(one.is_values for one in listed)])
        return cls(StringTable.of(names), stamps, ends, hashes, is_values)

    def __len__(self) -> int:
        return len(self.names)

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.origin,)

    def find(self, name: str) -> FileChecksums | None:
        """The checksums of a file; None if there are none."""
        file = bisect_left(self.names, name)
        return self[file] if file < len(self) and self.names[file] == name else None

    def __getitem__(self, file: int) -> FileChecksums:
        """The checksums of one file, which share the memory of the table."""
        size, mtime_ns = self.stamps[file].tolist()
        blocks = slice(int(self.ends[file - 1]) if file else 0, int(self.ends[file]))
        return FileChecksums(size, mtime_ns, self.hashes[blocks], self.is_values[blocks])


def block_count(size: int) -> int:
    """Blocks of a file of ``size`` bytes; the last one may be shorter."""
    return -(-size // BLOCK_BYTES)


def blocks_of_values(parts: Iterable[tuple[Int64Array, Int64Array]], size: int) -> BoolArray:
    """Whether each block of a file holds only values, ``(blocks,)``.

    Args:
        parts: first byte and bytes of each stored part of a dataset, ``(parts,)`` each.
        size: bytes of the file.
    """
    listed = [(starts, starts + sizes) for starts, sizes in parts]
    nothing = np.zeros(0, dtype=np.int64)
    starts = np.concatenate([nothing, *(start for start, _ in listed)])
    stops = np.concatenate([nothing, *(stop for _, stop in listed)])
    order = np.argsort(starts)
    starts, stops = starts[order], np.maximum.accumulate(stops[order])
    # Adjacent parts count as one.
    is_first = np.concatenate([[True], starts[1:] > stops[:-1]])[: len(starts)]
    is_last = np.concatenate([is_first[1:], [True]])[: len(starts)]
    starts, stops = np.concatenate([[-1], starts[is_first]]), np.concatenate([[-1], stops[is_last]])
    first = np.arange(block_count(size), dtype=np.int64) * BLOCK_BYTES
    within = stops[np.searchsorted(starts, first, side="right") - 1]
    is_inside: BoolArray = within >= np.minimum(first + BLOCK_BYTES, size)
    return is_inside


def _again(origin: Callable[[], ChecksumTable | None] | None) -> ChecksumTable:
    found = origin() if origin is not None else None
    return ChecksumTable.of({}) if found is None else found
