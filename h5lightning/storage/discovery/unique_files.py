"""Each file once: what it is, which of its names counts, and what is left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from h5lightning.errors import BadFileError, DiscoveryError
from h5lightning.storage.discovery.directory_tree import HDF5_SUFFIXES
from h5lightning.storage.discovery.patterns import escape
from h5lightning.storage.hdf5.file_checks import has_signature, stamp

__all__ = ["Census"]

_UNKNOWN = (0, 0, 0, 0)


@dataclass(slots=True)
class Census:
    """The files among many paths; a file with several names (links) counts under the smallest.

    Args:
        paths: the files, sorted.
        stamps: size, mtime_ns, ctime_ns and inode of each file; zeros if it cannot be looked at.
        positions: position in ``paths`` of each path that is a file, other names of a file included.
        skipped: path of what is left out, and why.
    """

    paths: list[str] = field(default_factory=list)
    stamps: list[tuple[int, int, int, int]] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[str], literal: set[str]) -> Census:
        """Look at each path with one `os.stat`, in path order.

        Args:
            paths: absolute paths, in any order, perhaps twice.
            literal: those of them that were given without wildcards, and are taken whatever they hold.

        Raises:
            DiscoveryError: a directory was given without wildcards.
        """
        census = cls()
        known: dict[tuple[int, int], int] = {}
        for path in sorted(set(paths)):
            try:
                status = os.stat(path)
            except OSError:  # a link that leads nowhere, or no permission: stays in, and the scan reports it
                census._keep(path, _UNKNOWN)
                continue
            identity = (status.st_dev, status.st_ino)
            if identity in known:
                census.positions[path] = known[identity]
            elif census._is_wanted(path, status.st_mode, is_literal=path in literal):
                known[identity] = len(census.paths)
                census._keep(path, stamp(status))
        return census

    def _keep(self, path: str, facts: tuple[int, int, int, int]) -> None:
        self.positions[path] = len(self.paths)
        self.paths.append(path)
        self.stamps.append(facts)

    def _is_wanted(self, path: str, mode: int, *, is_literal: bool) -> bool:
        is_directory = stat.S_ISDIR(mode)
        if is_literal and is_directory:
            below = f"{escape(path)}/**/*.h5"
            raise DiscoveryError(f"{path!r} is a directory; for the files in it, write {below!r}")
        # A directory that is named like a file is kept: the scan reports it.
        if is_literal or path.lower().endswith(HDF5_SUFFIXES):
            return True
        if is_directory:
            return False
        reason = _why_left_out(path, mode)
        if reason:
            self.skipped[path] = reason
        return not reason


def _why_left_out(path: str, mode: int) -> str:
    """Why a file without an HDF5 name is left out; empty if it is HDF5 all the same."""
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    try:
        return "" if has_signature(path) else "is not HDF5"
    except BadFileError:  # nobody can say, so it stays in, and the scan reports it
        return ""
