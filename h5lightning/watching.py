"""Is an open file still the one that was opened? Asked of its descriptor, before and after it is read."""

from __future__ import annotations

import contextlib
import os

from h5lightning.errors import FileChangedError
from h5lightning.guarding import stamp
from h5lightning.stamps import KnownStamps, Stamp, explain_change

__all__ = ["Watch", "check_path"]

_ADVICE = (
    "A run needs files that stay as they are, also those of SWMR writers: write to another file and rename it "
    "when it is whole. Start again, which scans the files that changed"
)


class Watch:
    """One open file.

    Args:
        path: where it lies, for messages.
        descriptor: the open file; it belongs to the caller.
    """

    __slots__ = ("_descriptor", "_has_name", "_mtime_ns", "_size", "path", "stamp")

    def __init__(self, path: str, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.path = path
        self.stamp = stamp(status)
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

    def check_scanned(self, known: KnownStamps) -> None:
        """Raise unless it is what was scanned, so that what the index says of it holds.

        Raises:
            FileChangedError: it was scanned with another size or time of modification.
        """
        _check_scanned(self.path, self.stamp, known)


def check_path(path: str, known: KnownStamps) -> None:
    """Raise if what lies at a path now, and cannot be opened, is not what was scanned.

    Raises:
        FileChangedError: it was scanned with another size or time of modification.
    """
    with contextlib.suppress(FileNotFoundError):
        _check_scanned(path, stamp(os.stat(path)), known)


def _check_scanned(path: str, found: Stamp, known: KnownStamps) -> None:
    expected = known.find(path)
    if expected is not None and (what := explain_change(found, expected)):
        raise FileChangedError(f"{path} {what} since it was scanned. {_ADVICE}")
