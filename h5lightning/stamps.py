"""What a file looked like when it was scanned: whether it is still the same, and if not, what changed.

A stamp is size in bytes, mtime_ns, ctime_ns and inode. The first two tell: a file keeps them when its mode or its links
change, or when it is copied with its times to another disk, which ctime and inode do not survive.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.catalog import Catalog
from h5lightning.text_table import TextTable

__all__ = ["KnownStamps", "Stamp", "explain_change"]

Stamp: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class KnownStamps:
    """The stamps of all files of a catalog, by path.

    Args:
        root: the directory that the names are relative to.
        names: path of each file relative to ``root``, sorted.
        stamps: the stamp of each file, ``(files, 4)``.
    """

    root: str
    names: TextTable
    stamps: npt.NDArray[np.int64]

    @classmethod
    def of(cls, catalog: Catalog) -> KnownStamps:
        """The stamps that a catalog holds."""
        return cls(catalog.root, catalog.names, catalog.stamps)

    def find(self, path: str) -> Stamp | None:
        """The stamp of a file; None for one that was not scanned."""
        start = self.root if self.root.endswith("/") else f"{self.root}/"
        if not path.startswith(start):
            return None
        name = path[len(start) :]
        # A dict of a million names would take 150 MB in each process; this takes 10 µs, and opening 400.
        position = bisect_left(self.names, name)
        if position == len(self.names) or self.names[position] != name:
            return None
        size, mtime_ns, ctime_ns, inode = self.stamps[position].tolist()
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


def _when(mtime_ns: int) -> str:
    moment = dt.datetime.fromtimestamp(mtime_ns // 10**9, tz=dt.timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{mtime_ns % 10**9:09} UTC"
