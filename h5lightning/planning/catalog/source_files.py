"""Source files: other files that hold values of a file (external links, external storage, virtual datasets).

Few files have sources, and many files may share one, so each source is kept once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.frozen import EqualByValue
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.schema import Stamp

__all__ = ["NOT_THERE", "UNKNOWN", "SourceTable", "stamp_of"]

NOT_THERE: Stamp = (-1, -1, -1, -1)  # the stamp of a source that cannot be accessed
UNKNOWN: Stamp = (-2, -2, -2, -2)  # no file has it, so that such a source is scanned again at each start


@dataclass(frozen=True, slots=True, eq=False)
class SourceTable(EqualByValue):
    """The sources of many files.

    Args:
        paths: path of each source: absolute, or relative to the current directory if HDF5 resolves it so.
        stamps: stamp of each source when it was scanned, ``(sources, 4)``.
        file_of: the position of a file that uses a source, ascending, ``(uses,)``.
        source_of: the position of that source, ``(uses,)``.
    """

    paths: StringTable
    stamps: Int64Array
    file_of: Int64Array
    source_of: Int64Array

    def __post_init__(self) -> None:
        sizes = (len(self.stamps), len(self.source_of))
        expected = (len(self.paths), len(self.file_of))
        if sizes != expected:
            raise ValueError(f"a table of sources: found parts of {sizes}, expected {expected}")

    @classmethod
    def of(cls, files: Iterable[Sequence[tuple[str, Stamp]]]) -> SourceTable:
        """The table of the sources of each file, in order."""
        numbers: dict[tuple[str, Stamp], int] = {}
        file_of: list[int] = []
        source_of: list[int] = []
        for file, sources in enumerate(files):
            for path, stamp in sources:
                file_of.append(file)
                source_of.append(numbers.setdefault((path, stamp), len(numbers)))
        return cls(
            StringTable.of(path for path, _ in numbers),
            np.asarray([stamp for _, stamp in numbers], dtype=np.int64).reshape(-1, 4),
            np.asarray(file_of, dtype=np.int64),
            np.asarray(source_of, dtype=np.int64),
        )

    @classmethod
    def joined(cls, first: SourceTable, second: SourceTable, *, files: int) -> SourceTable:
        """The sources of both tables; the first table describes ``files`` files."""
        return cls(
            StringTable.concatenated([first.paths, second.paths]),
            np.concatenate([first.stamps, second.stamps]),
            np.concatenate([first.file_of, second.file_of + files]),
            np.concatenate([first.source_of, second.source_of + len(first.paths)]),
        )

    def take(self, files: Int64Array) -> SourceTable:
        """The sources of the files at these positions, ``(files,)``, in that order."""
        if not len(self.file_of):
            return self
        starts = np.searchsorted(self.file_of, files)
        sizes = np.searchsorted(self.file_of, files, side="right") - starts
        used, source_of = np.unique(self.source_of[flat_positions(starts, sizes)], return_inverse=True)
        file_of = np.arange(len(files)).repeat(sizes)
        return SourceTable(self.paths.take(used), self.stamps[used], file_of, source_of.reshape(-1))

    def __len__(self) -> int:
        return len(self.paths)

    def of_file(self, file: int) -> tuple[tuple[str, Stamp], ...]:
        """The sources of one file, with their stamps."""
        if not len(self.file_of):
            return ()
        start, stop = np.searchsorted(self.file_of, [file, file + 1]).tolist()
        sources = self.source_of[start:stop].tolist()
        return tuple((self.paths[source], stamp_of(self.stamps[source])) for source in sources)

    def seen(self, look: Callable[[str], Stamp]) -> SourceTable:
        """The same sources with the stamps that ``look`` returns for their paths now."""
        if not len(self):
            return self
        return replace(self, stamps=np.asarray([look(path) for path in self.paths], dtype=np.int64))

    def files_with_other(self, stamps: Int64Array) -> Int64Array:
        """The files with a source whose stamp is not that in ``stamps``, ``(sources, 4)``; ascending."""
        is_other = np.any(self.stamps != stamps, axis=1)
        return np.unique(self.file_of[is_other[self.source_of]])


def stamp_of(row: Int64Array) -> Stamp:
    """The stamp in a row of an array of stamps, ``(4,)``."""
    size, mtime_ns, ctime_ns, inode = row.tolist()
    return size, mtime_ns, ctime_ns, inode
