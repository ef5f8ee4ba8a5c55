"""Each file once: which of its names counts, and which paths are skipped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from h5lightning.errors import BadFileError, DiscoveryError
from h5lightning.storage.discovery.directory_tree import HDF5_SUFFIXES
from h5lightning.storage.discovery.patterns import escape
from h5lightning.storage.hdf5.file_checks import has_signature, stamp

__all__ = ["UniqueFiles"]

_UNKNOWN = (0, 0, 0, 0)


@dataclass(slots=True)
class UniqueFiles:
    """The files among many paths; a file with several names (links) counts under the smallest name.

    Args:
        paths: the files, sorted.
        stamps: size, mtime_ns, ctime_ns and inode of each file; zeros if its status cannot be read.
        positions: each path of a file, including its other names → position in ``paths``.
        skipped: each path that is skipped → the reason.
    """

    paths: list[str] = field(default_factory=list)
    stamps: list[tuple[int, int, int, int]] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[str], literal: set[str]) -> UniqueFiles:
        """Sort the paths, with one `os.stat` for each.

        Args:
            paths: absolute paths, in any order, perhaps twice.
            literal: those of them that were given without wildcards, and are taken whatever they contain.

        Raises:
            DiscoveryError: a directory was given without wildcards.
        """
        files = cls()
        position_of: dict[tuple[int, int], int] = {}
        for path in sorted(set(paths)):
            try:
                status = os.stat(path)
            except OSError:  # a link to nothing, or no permission: kept, because the scan reports it
                files._keep(path, _UNKNOWN)
                continue
            identity = (status.st_dev, status.st_ino)
            if identity in position_of:
                files.positions[path] = position_of[identity]
            elif files._is_taken(path, status.st_mode, is_literal=path in literal):
                position_of[identity] = len(files.paths)
                files._keep(path, stamp(status))
        return files

    def _keep(self, path: str, facts: tuple[int, int, int, int]) -> None:
        self.positions[path] = len(self.paths)
        self.paths.append(path)
        self.stamps.append(facts)

    def _is_taken(self, path: str, mode: int, *, is_literal: bool) -> bool:
        is_directory = stat.S_ISDIR(mode)
        if is_literal and is_directory:
            below = f"{escape(path)}/**/*.h5"
            raise DiscoveryError(f"{path!r} is a directory; for the files in it, write {below!r}")
        # A directory that is named like a file is kept: the scan reports it.
        if is_literal or path.lower().endswith(HDF5_SUFFIXES):
            return True
        if is_directory:
            return False
        reason = _reason_to_skip(path, mode)
        if reason:
            self.skipped[path] = reason
        return not reason


def _reason_to_skip(path: str, mode: int) -> str:
    """Why a file without an HDF5 name is skipped; empty if it is HDF5 nevertheless."""
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    try:
        return "" if has_signature(path) else "is not HDF5"
    except BadFileError:  # it cannot be read: kept, because the scan reports it
        return ""
