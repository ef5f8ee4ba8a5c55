"""Open files, least recently used first, and how many a process may hold.

HDF5 keeps about half a MiB for each open file and, by default, 8 MiB of decoded chunks for each open dataset, so both
are bounded here.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from h5lightning.errors import BadFileError, ResourceError
from h5lightning.opening import open_file
from h5lightning.options import Access
from h5lightning.stamps import KnownStamps, Stamp
from h5lightning.verified_blocks import VerifiedBlocks, verified_blocks
from h5lightning.watching import Watch, check_path

__all__ = ["Closable", "OpenFile", "OpenFiles", "Pin", "default_budget"]

T = TypeVar("T")


class Closable(Protocol):
    """What a pool can hold open."""

    def fileno(self) -> int:
        """Its descriptor."""

    def close(self) -> None:
        """Give back the descriptor."""


Key: TypeAlias = tuple[str, Callable[[str], Closable] | None]  # the path, and what opened it; None for HDF5

_MOST_CACHE_BYTES = 1024 * 1024


def default_budget(processes: int = 1) -> int:
    """Files for each of ``processes``: half of its free descriptors, 512 over all, but at least 8."""
    return max(8, min(_free_descriptors() // 2, 512 // max(1, processes)))


def _free_descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    try:
        return soft - len(os.listdir("/dev/fd"))
    except OSError:  # none is free, or a container has no /dev/fd
        return 0


class OpenFile:
    """A file, and what was derived from it while it is open."""

    __slots__ = ("file", "is_retired", "kept", "key", "pins", "watch")

    def __init__(self, key: Key, file: Any, watch: Watch) -> None:
        self.key = key
        self.file = file
        self.watch = watch
        self.kept: dict[Hashable, Any] = {}
        self.pins = 0
        self.is_retired = False

    def keep(self, key: Hashable, make: Callable[[Any], T]) -> T:
        """What ``make`` derives from the file; it is called once for a key."""
        # Two threads may both make it; setdefault lets one of the two win for both.
        kept: T = self.kept[key] if key in self.kept else self.kept.setdefault(key, make(self.file))
        return kept


class OpenFiles:
    """Least recently used files first; a pinned file is never closed."""

    def __init__(self, access: Access, processes: int, known: KnownStamps | None) -> None:
        self.budget = access.max_open_files or default_budget(processes)
        self.opened = 0
        self._known = known
        self._access = access
        self._rdcc_nbytes = min(_MOST_CACHE_BYTES, access.cache_bytes // self.budget)
        self._by_key: OrderedDict[Key, OpenFile] = OrderedDict()
        # Kept when a file is closed: it may have to make room, and be opened again, many times in an epoch.
        self._blocks: dict[tuple[str, Stamp], VerifiedBlocks] = {}
        # Held while a file is opened: h5py holds its own lock and the GIL for that time in any case.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._by_key)

    def blocks(self, path: str, stamp: Stamp) -> VerifiedBlocks:
        """What verifies the bytes of a file; see `verified_blocks`."""
        found = self._blocks.get((path, stamp))
        return found or self._blocks.setdefault((path, stamp), verified_blocks(path, stamp, self._known))

    def pin(self, keys: Sequence[Key]) -> list[OpenFile]:
        """Open files, which stay open until as many calls of `unpin`."""
        entries: list[OpenFile] = []
        with self._lock:
            try:
                for key in keys:
                    entry = self._by_key.get(key) or self._open(key)
                    self._by_key.move_to_end(key)
                    entry.pins += 1
                    entries.append(entry)
            except BaseException:
                self._unpin(entries)
                raise
        return entries

    def unpin(self, entries: Sequence[OpenFile]) -> None:
        """Nobody uses them any more, as far as this caller goes."""
        with self._lock:
            self._unpin(entries)

    def _unpin(self, entries: Sequence[OpenFile]) -> None:
        for entry in entries:
            entry.pins -= 1
            if entry.is_retired and not entry.pins:
                entry.file.close()
        self._shrink(self.budget)

    def close(self) -> None:
        """Close all files, those in use after their use."""
        with self._lock:
            for entry in self._by_key.values():
                entry.is_retired = True
                if not entry.pins:
                    entry.file.close()
            self._by_key.clear()

    def _open(self, key: Key) -> OpenFile:
        self._shrink(self.budget - 1)
        path, opener = key
        try:
            file = self._opened(path, opener)
        except BadFileError:
            if self._known is not None:
                check_path(path, self._known)
            raise
        try:
            watch = Watch(path, file.fileno() if opener else file.id.get_vfd_handle())
            if self._known is not None:
                watch.check_scanned(self._known)
        except BaseException:
            file.close()
            raise
        entry = self._by_key[key] = OpenFile(key, file, watch)
        self.opened += 1
        return entry

    def _opened(self, path: str, opener: Callable[[str], Closable] | None) -> Any:
        while True:
            try:
                return (
                    opener(path) if opener else open_file(path, self._access, rdcc_nbytes=self._rdcc_nbytes)
                )
            except ResourceError:  # noqa: PERF203 - once in a run
                held = len(self._by_key)
                self._shrink(held // 2)
                if len(self._by_key) == held:
                    raise
                # Somebody else took descriptors: less of them are for files from now on.
                self.budget = max(1, held // 2)

    def _shrink(self, most: int) -> None:
        if len(self._by_key) <= most:
            return
        idle = [entry for entry in self._by_key.values() if not entry.pins]
        for entry in idle[: len(self._by_key) - most]:
            del self._by_key[entry.key]
            entry.file.close()


class Pin:
    """Keeps files open inside a ``with`` block; a generator would take 1.5 µs more."""

    __slots__ = ("_entries", "_files", "_keys")

    def __init__(self, files: OpenFiles, keys: Sequence[Key]) -> None:
        self._files = files
        self._keys = keys

    def __enter__(self) -> list[OpenFile]:
        self._entries = self._files.pin(self._keys)
        return self._entries

    def __exit__(self, *error: object) -> None:
        self._files.unpin(self._entries)
