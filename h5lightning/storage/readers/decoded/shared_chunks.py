"""Decoded chunk rows that the worker processes of one loader share: each is decoded once, not once in each worker.

They lie in a file in memory (`AnonymousFile`) which the training process makes and the workers inherit. It begins with
a `SharedDirectory`; behind it lies a `SharedStore` for each size of chunk rows. All of it changes under the lock of a
`ProcessMonitor`. If a worker ends while it changes something, or if the directory is full, the sharing is given up for
good: each process goes on with a cache of its own.
"""

from __future__ import annotations

import os
from typing import Any

from h5lightning.core.anonymous_file import AnonymousFile
from h5lightning.core.process_local import ProcessLocal
from h5lightning.core.process_monitor import ProcessMonitor
from h5lightning.core.visible import visible_logger
from h5lightning.storage.readers.decoded.shared_directory import DIRECTORY_BYTES, SharedDirectory
from h5lightning.storage.readers.decoded.shared_store import SharedStore

__all__ = ["SharedChunks"]

_logger = visible_logger(__name__)


class SharedChunks:
    """What workers share. The training process makes it and hands it to them; it uses none of it itself.

    Args:
        members: processes that share.
        cache_bytes: decoded bytes that all of them keep together.
        data: the file with directory and chunk rows.
        lock: the file of the lock.
        made_by: the process that made it.
    """

    def __init__(
        self, members: int, cache_bytes: int, data: AnonymousFile, lock: AnonymousFile, made_by: int
    ) -> None:
        self.members = members
        self.cache_bytes = cache_bytes
        self.data = data
        self.lock = lock
        self.made_by = made_by
        self._local: ProcessLocal[_Member] = ProcessLocal()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.members, self.cache_bytes, self.data, self.lock, self.made_by)

    @classmethod
    def make(cls, members: int, cache_bytes: int) -> SharedChunks:
        """Make the files, which are empty.

        Raises:
            OSError: the system gives none.
        """
        data, lock = AnonymousFile.make("h5lightning-chunks"), AnonymousFile.make("h5lightning-lock")
        os.ftruncate(data.descriptor, DIRECTORY_BYTES)
        return cls(members, cache_bytes, data, lock, os.getpid())

    def store(self, height: int, row_bytes: int) -> SharedStore | None:
        """The store of all chunk rows of this size; None if this process cannot take part.

        Args:
            height: rows of a chunk row.
            row_bytes: bytes of a row.
        """
        if os.getpid() == self.made_by:
            return None
        try:
            member = self._local.get(lambda: _Member(self))
            return member.monitor.run(member.store, height, row_bytes)
        except (OSError, ValueError) as error:
            # There is no address space for it, or the size of files is limited.
            _logger.info("this worker process decodes for itself: %s", error)
            return None


class _Member:
    """One process that takes part."""

    def __init__(self, shared: SharedChunks) -> None:
        self.monitor = ProcessMonitor(shared.lock)
        self._most = shared.members
        self._file = shared.data
        self._directory = SharedDirectory(shared.data.descriptor, shared.members, shared.cache_bytes)
        self._number: int | None = None

    def store(self, height: int, row_bytes: int) -> SharedStore | None:
        """See `SharedChunks.store`; under the monitor."""
        directory = self._directory
        member = self._enter()
        if member is None or directory.entries["is_torn"]:
            return None
        number = directory.find(height, row_bytes)
        if number is None:
            added = directory.next_part(height, row_bytes)
            if added is None:
                return None
            part, offset = added
            os.ftruncate(self._file.descriptor, offset + part.size)
            number = directory.add(part, offset)
        return SharedStore(self._file.descriptor, directory, number, self.monitor, member)

    def _enter(self) -> int | None:
        """The number of this process; None if there are enough others."""
        number = int(self._directory.entries["members"])
        if self._number is None and number < self._most:
            self.monitor.enter(number)
            self._directory.entries["members"] = number + 1
            self._number = number
        return self._number
