"""Stamps of scanned files: whether a file is still the same, and if not, what changed.

A stamp is size in bytes, mtime_ns, ctime_ns and inode. Size and mtime decide. They stay if the mode or the links of a
file change, or if the file is copied to another disk with its times; ctime and inode do not.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from h5lightning.core.frozen import Frozen, once
from h5lightning.core.sorted_names import SortedNames
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.checksum_table import ChecksumTable, FileChecksums
from h5lightning.planning.catalog.schema import Stamp
from h5lightning.planning.catalog.source_files import NOT_THERE, stamp_of

__all__ = ["ScannedFiles", "Stamp", "explain_change", "explain_source_change"]


@dataclass(frozen=True, eq=False)
class ScannedFiles(Frozen):
    """The files of a catalog by path, with their stamps."""

    catalog: Catalog  # the files, sorted by name
    checksums: ChecksumTable | None = None  # None if bytes are not verified

    def find(self, path: str) -> Stamp | None:
        """The stamp of a file; None if it was not scanned."""
        number = self.number(path)
        return None if number is None else self.stamp(number)

    def number(self, path: str) -> int | None:
        """The number of a file in the catalog; None if it was not scanned."""
        name = self._name(path)
        return None if name is None else self._names.find(name)

    def stamp(self, number: int) -> Stamp:
        """The stamp of the file with this number."""
        return stamp_of(self.catalog.stamps[number])

    def sources_of(self, path: str) -> dict[str, Stamp]:
        """The other files that hold values of a file, with their stamps; without those that were missing."""
        if not len(self.catalog.sources):
            return {}
        number = self.number(path)
        sources = () if number is None else self.catalog.sources.of_file(number)
        return {source: stamp for source, stamp in sources if stamp[0] >= 0}

    def checksums_of(self, path: str) -> FileChecksums | None:
        """The checksums of a file; None if there are none."""
        name = self._name(path)
        return None if name is None or self.checksums is None else self.checksums.find(name)

    @once
    def _names(self) -> SortedNames:
        return SortedNames(self.catalog.names)

    def _name(self, path: str) -> str | None:
        start = self.catalog.root if self.catalog.root.endswith("/") else f"{self.catalog.root}/"
        return path[len(start) :] if path.startswith(start) else None


def explain_change(found: Stamp, expected: Stamp) -> str:
    """What happened to a file, to follow its name in an error; empty if size and mtime are the same.

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
    """What happened to a file that holds values of other files, to follow its name in an error; empty if nothing did.

    This is stricter than `explain_change`: only HDF5 reads such a file, so that sizes and positions of its values are
    not compared with the scan. If it was changed and then got its old time of modification, only its ctime differs.

    Example:
        >>> explain_source_change((8, 5, 6, 2), (8, 5, 6, 1))
        ''
        >>> explain_source_change(NOT_THERE, (8, 5, 6, 1))
        'no longer exists, or cannot be accessed'
    """
    if found == NOT_THERE:
        return "no longer exists, or cannot be accessed"
    change = explain_change(found, expected)
    if change or found[2] == expected[2]:
        return change
    return (
        "was written to and got its old time of modification back, was replaced by a copy, or got another mode or link "
        f"(its status changed at {_when(found[2])}, expected {_when(expected[2])})"
    )


def _when(mtime_ns: int) -> str:
    moment = dt.datetime.fromtimestamp(mtime_ns // 10**9, tz=dt.timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{mtime_ns % 10**9:09} UTC"
