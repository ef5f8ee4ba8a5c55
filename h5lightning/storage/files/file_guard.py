"""Is an open file still the one that was opened? Asked of its descriptor, before and after it is read.

The files that it takes values from are open inside of HDF5, if at all: they are asked for by their paths.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from h5lightning.errors import FileChangedError
from h5lightning.planning.catalog.file_stamps import (
    ScannedFiles,
    Stamp,
    explain_change,
    explain_source_change,
)
from h5lightning.storage.hdf5.external import source_stamp
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.held_files import Identity, identity_of

__all__ = ["OpenFileGuard", "SourceGuard", "check_path"]

_ADVICE = (
    "A run needs files that stay as they are, also those of SWMR writers: write to another file and rename it "
    "when it is whole. Start again, which scans the files that changed"
)


class OpenFileGuard:
    """One open file.

    Args:
        path: where it lies, for messages.
        descriptor: the open file; it belongs to the caller.
    """

    __slots__ = ("_descriptor", "_has_name", "_mtime_ns", "_size", "identity", "path", "stamp")

    def __init__(self, path: str, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.path = path
        self.stamp = stamp(status)
        self.identity = identity_of(status)
        self._descriptor = descriptor
        self._size, self._mtime_ns = status.st_size, status.st_mtime_ns
        self._has_name = status.st_nlink > 0  # some file systems never count

    def check(self) -> None:
        """Raise if it was written to, replaced or deleted: what is known about it may be wrong, a map of it may kill.

        Raises:
            FileChangedError: it is not what it was when it was opened.
        """
        status = os.fstat(self._descriptor)
        is_same = status.st_mtime_ns == self._mtime_ns and status.st_size == self._size
        if is_same and (status.st_nlink or not self._has_name):
            return
        what = explain_change(stamp(status), self.stamp) or "was deleted or replaced"
        raise FileChangedError(f"{self.path} {what} while it was read. {_ADVICE}")

    def check_scanned(self, scanned_files: ScannedFiles) -> None:
        """Raise unless it is what was scanned, so that what the index says of it holds.

        Raises:
            FileChangedError: it was scanned with another size or time of modification.
        """
        _check_scanned(self.path, self.stamp, scanned_files)


class SourceGuard:
    """The other files that one file takes values from.

    Args:
        path: where the file lies.
        scanned_files: what its sources looked like when they were scanned; None if they never were: then each counts
            as it is when it is first asked for.
    """

    __slots__ = ("_path", "_scanned", "_stamps")

    def __init__(self, path: str, scanned_files: ScannedFiles | None) -> None:
        self._path = path
        self._scanned = scanned_files is not None and scanned_files.find(path) is not None
        self._stamps = scanned_files.sources_of(path) if scanned_files is not None else {}

    def identities(self) -> dict[Identity, Stamp]:
        """What HDF5 may hold open for the file, with the stamps that it has now."""
        found: dict[Identity, Stamp] = {}
        for source in self._stamps:
            with contextlib.suppress(OSError):
                status = os.stat(source)
                found[identity_of(status)] = stamp(status)
        return found

    def check(self, sources: Iterable[str] | None = None) -> None:
        """Raise if one of them is not what it was.

        Args:
            sources: those that count; None for all.

        Raises:
            FileChangedError: it was written to, replaced, renamed or deleted, or it is none of them.
        """
        for source in self._stamps if sources is None else sources:
            found = source_stamp(source)
            expected = self._stamps.get(source) if self._scanned else self._stamps.setdefault(source, found)
            if found == expected:
                continue
            what = "was not" if expected is None else explain_source_change(found, expected)
            if what:
                since = "when it" if expected is None else "since it"
                raise FileChangedError(
                    f"{os.path.abspath(source)}, which {self._path} takes values from, {what} {since} was scanned. "
                    f"{_ADVICE}"
                )


def check_path(path: str, scanned_files: ScannedFiles) -> None:
    """Raise if what lies at a path now, and cannot be opened, is not what was scanned.

    Raises:
        FileChangedError: it was scanned with another size or time of modification.
    """
    with contextlib.suppress(FileNotFoundError):
        _check_scanned(path, stamp(os.stat(path)), scanned_files)


def _check_scanned(path: str, found: Stamp, scanned_files: ScannedFiles) -> None:
    expected = scanned_files.find(path)
    if expected is not None and (what := explain_change(found, expected)):
        raise FileChangedError(f"{path} {what} since it was scanned. {_ADVICE}")
