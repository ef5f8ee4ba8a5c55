"""Files that are the same: several names of one file, and files with the same content."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from h5lightning.errors import BadFileError, DiscoveryError
from h5lightning.storage.discovery.directory_tree import HDF5_SUFFIXES
from h5lightning.storage.discovery.patterns import escape
from h5lightning.storage.hdf5.file_checks import has_signature, stamp

__all__ = ["UniqueFiles", "identical_files"]

_UNKNOWN = (0, 0, 0, 0)
_BLOCK_BYTES = 4096
# Where the blocks lie, as fractions of the file. The middle first: HDF5 files of one layout often have equal heads.
_FRACTIONS = (0.5, 1.0, 0.25, 0.75, 0.0)

Group: TypeAlias = list[int]  # positions of files


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


def identical_files(
    paths: Sequence[str], sizes: Sequence[int], owners: Sequence[frozenset[str]]
) -> list[Group]:
    """Files of different owners that have the same size and the same bytes in five blocks.

    They are compared block by block, the next block only where all blocks before are equal. So most files are not
    opened, and most of the others are read once. A file that cannot be read is equal to no other.

    Args:
        paths: paths of the files, each once.
        sizes: size of each file in bytes.
        owners: the owners of each file; files that all have the same single owner are not compared.

    Returns:
        The positions of the files of each group, ascending.
    """
    groups = _divide([list(range(len(paths)))], sizes.__getitem__, owners)
    for fraction in _FRACTIONS:
        groups = _divide(groups, partial(_block, paths, sizes, fraction), owners)
    return sorted(groups)


def _divide(
    groups: Iterable[Group], key: Callable[[int], Any], owners: Sequence[frozenset[str]]
) -> list[Group]:
    """The groups divided by ``key``, without groups that have a single file or a single owner."""
    divided = []
    for group in groups:
        parts: dict[Any, Group] = {}
        for file in group:
            parts.setdefault(key(file), []).append(file)
        divided += [part for part in parts.values() if _has_several_owners(part, owners)]
    return divided


def _has_several_owners(group: Group, owners: Sequence[frozenset[str]]) -> bool:
    return len(group) > 1 and len(frozenset().union(*(owners[file] for file in group))) > 1


def _block(paths: Sequence[str], sizes: Sequence[int], fraction: float, file: int) -> bytes | str:
    """One block of a file; where it cannot be read, the path, which is equal to no block."""
    try:
        descriptor = os.open(paths[file], os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return paths[file]
    try:
        return os.pread(descriptor, _BLOCK_BYTES, int(fraction * max(sizes[file] - _BLOCK_BYTES, 0)))
    except OSError:
        return paths[file]
    finally:
        os.close(descriptor)
