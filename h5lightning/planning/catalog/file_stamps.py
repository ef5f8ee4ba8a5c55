"""What a file looked like when it was scanned: whether it is still the same, and if not, what changed.

A stamp is size in bytes, mtime_ns, ctime_ns and inode. The first two tell: a file keeps them when its mode or its links
change, or when it is copied with its times to another disk, which ctime and inode do not survive.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from dataclasses import dataclass

from h5lightning.core.frozen import Frozen
from h5lightning.planning.catalog.catalog import Catalog, StoredDataset
from h5lightning.planning.catalog.checksum_table import ChecksumTable, FileChecksums
from h5lightning.planning.catalog.schema import Stamp
from h5lightning.planning.catalog.source_files import NOT_THERE

__all__ = ["ScannedFiles", "Stamp", "explain_change", "explain_source_change"]


@dataclass(frozen=True, slots=True, eq=False)
class ScannedFiles(Frozen):
    """The stamps of all files of a catalog, by path, and what else it says of a file that still has its stamp.

    Args:
        catalog: the files, sorted by name.
        checksums: what verifies their bytes; None where nobody asked for that.
    """

    catalog: Catalog
    checksums: ChecksumTable | None = None

    @classmethod
    def of(cls, catalog: Catalog, checksums: ChecksumTable | None = None) -> ScannedFiles:
        """The stamps that a catalog holds."""
        return cls(catalog, checksums)

    def find(self, path: str) -> Stamp | None:
        """The stamp of a file; None for one that was not scanned."""
        position = self._position(path)
        return None if position is None else self._stamp(position)

    def stored(self, path: str, stamp: Stamp, dataset: str) -> StoredDataset | None:
        """Where the values of a dataset lie; None where that is not known, or the file has another stamp.

        Unlike for `explain_change`, ctime and inode must be the same, too: a file that was written to and given its
        old time of modification again may keep its values elsewhere.
        """
        position = self._position(path)
        if position is None or self._stamp(position) != stamp:
            return None
        return self.catalog.stored(position, dataset)

    def sources_of(self, path: str) -> dict[str, Stamp]:
        """The other files that a file takes values from, each with its stamp, but those that were not there."""
        if not len(self.catalog.sources):
            return {}
        position = self._position(path)
        found = () if position is None else self.catalog.sources.of_file(position)
        return {source: stamp for source, stamp in found if stamp[0] >= 0}

    def checksums_of(self, path: str) -> FileChecksums | None:
        """The checksums of a file; None where there are none."""
        name = self._name(path)
        return None if name is None or self.checksums is None else self.checksums.find(name)

    def _position(self, path: str) -> int | None:
        name, names = self._name(path), self.catalog.names
        if name is None:
            return None
        # A dict of a million names would take 150 MB in each process; this takes 10 µs, and opening 400.
        position = bisect_left(names, name)
        return position if position < len(names) and names[position] == name else None

    def _name(self, path: str) -> str | None:
        start = self.catalog.root if self.catalog.root.endswith("/") else f"{self.catalog.root}/"
        return path[len(start) :] if path.startswith(start) else None

    def _stamp(self, position: int) -> Stamp:
        size, mtime_ns, ctime_ns, inode = self.catalog.stamps[position].tolist()
        return size, mtime_ns, ctime_ns, inode


def explain_change(found: Stamp, expected: Stamp) -> str:
    """What happened to a file, as what a sentence says of it; empty if it holds what it held.

    Example:
        >>> explain_change((9, 5, 0, 1), (8, 5, 0, 1))
        'grew from 8 to 9 bytes'
        >>> explain_change((8, 5, 7, 2), (8, 5, 6, 1))
        ''
    """
    if found[:2] == expected[:2]:
        return ""
    is_other = found[3] != expected[3]
    if found[0] == expected[0]:
        what = "was replaced by a file of the same size" if is_other else "was written to"
        return f"{what} (modified at {_when(found[1])}, expected {_when(expected[1])})"
    if is_other:
        return f"was replaced by a file of {found[0]} bytes, expected {expected[0]},"
    return f"{'grew' if found[0] > expected[0] else 'was cut off'} from {expected[0]} to {found[0]} bytes"


def explain_source_change(found: Stamp, expected: Stamp) -> str:
    """What happened to a file that others take values from, likewise.

    More counts than for `explain_change`: nothing but HDF5 reads a source, so that no size or place of its values is
    compared with what was scanned, and one that was given its old time of modification shows only in its ctime.

    Example:
        >>> explain_source_change((8, 5, 6, 2), (8, 5, 6, 1))
        ''
        >>> explain_source_change(NOT_THERE, (8, 5, 6, 1))
        'is not there any more, or may not be looked at'
    """
    if found == NOT_THERE:
        return "is not there any more, or may not be looked at"
    what = explain_change(found, expected)
    if what or found[2] == expected[2]:
        return what
    return (
        "was written to and given its old time of modification, replaced by a copy, or got another mode or link "
        f"(its status changed at {_when(found[2])}, expected {_when(expected[2])})"
    )


def _when(mtime_ns: int) -> str:
    moment = dt.datetime.fromtimestamp(mtime_ns // 10**9, tz=dt.timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{mtime_ns % 10**9:09} UTC"
