"""Checks whether a file is still the one that was opened: by its descriptor, or by its path where that was closed.

HDF5 itself opens the other files that it takes values from, so these are checked by their paths.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from h5lightning.errors import BadFileError, FileChangedError
from h5lightning.planning.catalog.file_stamps import (
    ScannedFiles,
    Stamp,
    explain_change,
    explain_source_change,
)
from h5lightning.storage.hdf5.external import source_stamp
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.held_files import Identity, identity_of

__all__ = ["FileGuard", "OpenFileGuard", "SourceGuard", "check_scanned", "check_unopened"]

_ADVICE = (
    "A run needs files that stay as they are, also those of SWMR writers: write to another file and rename it "
    "when it is whole. Start again, which scans the files that changed"
)
_SINCE = "since it was first read"


class FileGuard:
    """Knows what a file looked like when it was opened, and notices changes.

    Args:
        path: where it lies.
        status: its status when it was opened.
    """

    __slots__ = ("_ctime_ns", "_has_name", "_mtime_ns", "_size", "identity", "path", "stamp")

    def __init__(self, path: str, status: os.stat_result) -> None:
        self.path = path
        self.stamp = stamp(status)
        self.identity = identity_of(status)
        self._size, self._mtime_ns, self._ctime_ns = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        self._has_name = status.st_nlink > 0  # some file systems do not count links

    def check_open(self, descriptor: int) -> None:
        """Raise if the file changed while it is open: its chunk maps may be wrong, and reading a memory map may crash.

        Raises:
            FileChangedError: it was written to, replaced or deleted.
        """
        status = os.fstat(descriptor)
        is_same = status.st_mtime_ns == self._mtime_ns and status.st_size == self._size
        if not is_same or not (status.st_nlink or not self._has_name):
            raise self._changed(status, "while it was read")

    def check_path(self) -> bool:
        """Raise if the file that lies at the path has other content, or there is none.

        Returns:
            Whether it is the same file with the same status; otherwise it was linked, or is a copy with the same times.

        Raises:
            FileChangedError: it was written to, replaced, renamed or deleted.
            BadFileError: the system does not say.
        """
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            raise self._changed(None, _SINCE) from None
        except OSError as error:
            reason = f"{self.path} cannot be accessed: {error.strerror}. Check the disk or the mount"
            raise BadFileError(reason) from error
        if status.st_mtime_ns != self._mtime_ns or status.st_size != self._size:
            raise self._changed(status, _SINCE)
        return status.st_ctime_ns == self._ctime_ns and identity_of(status) == self.identity

    def check_opened(self, status: os.stat_result) -> None:
        """Raise if a file that was opened again has other content, by its new status.

        Raises:
            FileChangedError: it was written to or replaced.
        """
        if status.st_mtime_ns != self._mtime_ns or status.st_size != self._size:
            raise self._changed(status, _SINCE)

    def _changed(self, status: os.stat_result | None, since: str) -> FileChangedError:
        what = explain_change(stamp(status), self.stamp) if status is not None else ""
        return FileChangedError(f"{self.path} {what or 'was deleted or replaced'} {since}. {_ADVICE}")


class OpenFileGuard(FileGuard):
    """Guards one open file.

    Args:
        path: where it lies, for errors.
        descriptor: the open file; it belongs to the caller.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, path: str, descriptor: int) -> None:
        super().__init__(path, os.fstat(descriptor))
        self._descriptor = descriptor

    def check(self) -> None:
        """Raise if the file changed; see `check_open`."""
        self.check_open(self._descriptor)


class SourceGuard:
    """Guards the other files that one file takes values from: its sources.

    Args:
        path: where the file lies.
        scanned_files: what its sources looked like when they were scanned; None to compare each source with what it
            looked like when it was first checked.
    """

    __slots__ = ("_path", "_scanned", "_stamps")

    def __init__(self, path: str, scanned_files: ScannedFiles | None) -> None:
        self._path = path
        self._scanned = scanned_files is not None and scanned_files.find(path) is not None
        self._stamps = scanned_files.sources_of(path) if scanned_files is not None else {}

    def identities(self) -> dict[Identity, Stamp]:
        """The sources that HDF5 may hold open, with their present stamps."""
        stamps: dict[Identity, Stamp] = {}
        for source in self._stamps:
            with contextlib.suppress(OSError):
                status = os.stat(source)
                stamps[identity_of(status)] = stamp(status)
        return stamps

    def check(self, sources: Iterable[str] | None = None) -> None:
        """Raise if a source changed.

        Args:
            sources: the sources to check; None for all.

        Raises:
            FileChangedError: a source was written to, replaced, renamed or deleted, or was not scanned.
        """
        for source in self._stamps if sources is None else sources:
            now = source_stamp(source)
            expected = self._stamps.get(source) if self._scanned else self._stamps.setdefault(source, now)
            if now == expected:
                continue
            what = "was not" if expected is None else explain_source_change(now, expected)
            if what:
                since = "when it" if expected is None else "since it"
                raise FileChangedError(
                    f"{os.path.abspath(source)}, which {self._path} takes values from, {what} {since} was scanned. "
                    f"{_ADVICE}"
                )


def check_unopened(path: str, scanned_files: ScannedFiles | None) -> None:
    """Raise if a file that cannot be opened is not the one that was scanned.

    Raises:
        FileChangedError: see `check_scanned`.
    """
    if scanned_files is not None:
        with contextlib.suppress(FileNotFoundError):
            check_scanned(path, stamp(os.stat(path)), scanned_files)


def check_scanned(path: str, stamp: Stamp, scanned_files: ScannedFiles) -> int | None:
    """Raise if a file with this stamp is not the one that was scanned.

    Returns:
        Its number in the catalog, if that says where its values lie: ctime and inode must be equal too, since a file
        that was changed and then got its old time of modification may have its values at other positions. Else None.

    Raises:
        FileChangedError: it was scanned with another size or time of modification.
    """
    number = scanned_files.number(path)
    if number is None or (scanned := scanned_files.stamp(number)) == stamp:
        return number
    if what := explain_change(stamp, scanned):
        raise FileChangedError(f"{path} {what} since it was scanned. {_ADVICE}")
    return None
