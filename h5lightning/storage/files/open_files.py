"""The files of one process that are open through HDF5, least recently used first, and how many it may hold.

HDF5 keeps about half a MiB for each open file and, by default, 8 MiB of decoded chunks for each open dataset; both are
bounded.
"""

from __future__ import annotations

import os
import resource
import sys
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, TypeVar

import h5py

from h5lightning.core.monitor import Guard
from h5lightning.errors import BadFileError, FileChangedError, ResourceError
from h5lightning.options import Access
from h5lightning.planning.catalog.file_stamps import ScannedFiles, Stamp
from h5lightning.storage.files.file_guard import OpenFileGuard, SourceGuard, check_scanned, check_unopened
from h5lightning.storage.files.raw_files import RawFiles
from h5lightning.storage.files.verified_blocks import VerifiedBlocks, verified_blocks
from h5lightning.storage.hdf5.held_files import Identity, drop, hold
from h5lightning.storage.hdf5.open_file import close_id, open_file

__all__ = ["LENT", "OpenFile", "OpenFiles", "default_budget"]

LENT = object()  # the name of the handle that is lent

T = TypeVar("T")

_MOST_CACHE_BYTES = 1024 * 1024
_PATIENCE_S = 0.5
# Datasets of parts of files, 10 KiB each: of all files together, and at least of each.
_MOST_PARTS, _LEAST_PARTS = 2048, 8
_SPARE_DESCRIPTORS = 64  # for other uses, where `max_open_files` takes all others


def default_budget(processes: int = 1) -> int:
    """Files that each of ``processes`` may hold: half of its free descriptors, 512 over all, but at least 8."""
    return max(8, min(_free_descriptors() // 2, 512 // max(1, processes)))


def _free_descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    try:
        return soft - len(os.listdir("/dev/fd"))
    except OSError:  # no descriptor is free, or a container has no /dev/fd
        return 0


def _allow(files: int) -> None:
    """Raise the limit of open files of this process, as far as it may, if it allows fewer than were asked for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lacking = files + _SPARE_DESCRIPTORS - _free_descriptors()
    if lacking > 0:
        most = soft + lacking if hard == resource.RLIM_INFINITY else min(soft + lacking, hard)
        with suppress(OSError, ValueError):  # the system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class OpenFile:
    """A file that is open through HDF5, and what was derived from it."""

    def __init__(self, file: h5py.File, guard: OpenFileGuard, sources: SourceGuard | None) -> None:
        self.file = file
        self.guard = guard
        self.sources = sources
        self.kept: dict[Hashable, Any] = {}
        self._passing: deque[Hashable] = deque()  # the names of what is kept for a while, the oldest first
        # Its users: removing one that is absent changes nothing.
        self.holders: set[object] = set()
        self.is_retired = False
        self._lock = Guard()
        self._held: dict[Identity, Stamp] = {}
        self._owner: weakref.ref[OpenFiles] | None = None

    def keep(self, key: Hashable, make: Callable[[h5py.File], T], most: int | None = None) -> T:
        """What ``make`` derives from the file; it is called once for a key, however many threads ask.

        Args:
            key: names it.
            make: derives it.
            most: keep no more than so many of those that are kept for a while, this one included; None to keep it as
                long as the file is open.
        """
        kept: T | None = self.kept.get(key)  # another thread may let it go meanwhile
        return self._lock.run(self._keep, key, make, most) if kept is None else kept

    def _keep(self, key: Hashable, make: Callable[[h5py.File], T], most: int | None) -> T:
        if key in self.kept:
            kept: T = self.kept[key]
            return kept
        made = make(self.file)
        if most is not None:
            self._passing.append(key)
            while len(self._passing) > most:
                # HDF5 closes a dataset when nobody uses it any more.
                self.kept.pop(self._passing.popleft(), None)
        self.kept[key] = made
        return made

    def close(self) -> None:
        """Close the file and all that HDF5 opened for it: the next reader must not get cached bytes of a source."""
        lent = self.kept.get(LENT)
        self.kept.clear()
        if lent is not None and lent.valid:
            close_id(lent)  # with all that a user still holds
        self._passing.clear()
        self.file.close()
        drop(self, self._held)

    def hold(self, owner: OpenFiles) -> None:
        """Note that HDF5 holds the file open from now on, and opens its sources when they are read."""
        self._owner = weakref.ref(owner)
        self._held = {} if self.sources is None else self.sources.identities()
        self._held[self.guard.identity] = self.guard.stamp
        hold(self, self._held)

    def is_outdated(self, identity: Identity, stamp: Stamp) -> bool:
        """See `Holder.is_outdated`."""
        if self._held.get(identity, stamp) != stamp:
            return True
        try:
            # Once, not for each source: a file of many sources would check all of them that many times.
            if self.sources is not None and identity == self.guard.identity:
                self.sources.check()
        except FileChangedError:
            return True
        return False

    def give_back(self) -> bool:
        """See `Holder.give_back`."""
        owner = self._owner() if self._owner is not None else None
        return owner is None or owner.retire(self)


class OpenFiles:
    """The files of one process: those that are open through HDF5, and those that are read without it.

    The former are ordered by their last use; a file in use is never closed.

    Attributes:
        raw: the files that are read without HDF5.
        opened: how often a file was opened through HDF5.
    """

    def __init__(self, access: Access, processes: int, scanned_files: ScannedFiles | None) -> None:
        if access.max_open_files is not None:
            _allow(access.max_open_files)
        most = access.max_open_files or default_budget(processes)
        self.opened = 0
        self._scanned_files = scanned_files
        self._access = access
        self._rdcc_nbytes = min(_MOST_CACHE_BYTES, access.cache_bytes // most)
        self._by_path: OrderedDict[str, OpenFile] = OrderedDict()
        self.raw = RawFiles(scanned_files, most, self._by_path, weakref.WeakMethod(self._close_half))
        # Kept when a file is closed, which may be closed and opened again many times in an epoch.
        self._blocks: dict[tuple[str, Stamp], VerifiedBlocks] = {}
        # Held while a file is opened: h5py holds its own lock and the GIL for that time in any case.
        self._guard = Guard()

    def __len__(self) -> int:
        return self.raw.budget.held

    @property
    def most_parts(self) -> int:
        """Datasets of parts that each of the open files may keep open; all of them together have a bound."""
        return max(_LEAST_PARTS, _MOST_PARTS // max(1, len(self._by_path)))

    def blocks(self, path: str, stamp: Stamp) -> VerifiedBlocks:
        """The verifier of a file; see `verified_blocks`."""
        return self._blocks.get((path, stamp)) or self._guard.run(self._add_blocks, path, stamp)

    def _add_blocks(self, path: str, stamp: Stamp) -> VerifiedBlocks:
        if (path, stamp) not in self._blocks:
            self._blocks[path, stamp] = verified_blocks(path, stamp, self._scanned_files)
        return self._blocks[path, stamp]

    def use(self, paths: Sequence[str], function: Callable[[Sequence[OpenFile]], T]) -> T:
        """What ``function`` returns for some open files, which stay open until then."""
        holder, entries = object(), list[OpenFile]()
        try:
            try:
                return function(self._pin_all(paths, holder, entries))
            finally:
                self._guard.run(self._unpin, holder, entries)
        finally:
            if entries:  # the line above was interrupted
                self._guard.run(self._unpin, holder, entries)

    @contextmanager
    def held(self, path: str) -> Iterator[OpenFile]:
        """An open file, which stays open inside the ``with`` block."""
        holder, entries = object(), list[OpenFile]()
        try:
            try:
                yield self._guard.run(self._pin, path, holder, entries)
            finally:
                self._guard.run(self._unpin, holder, entries)
        finally:
            if entries:
                self._guard.run(self._unpin, holder, entries)

    def _pin_all(self, paths: Sequence[str], holder: object, entries: list[OpenFile]) -> Sequence[OpenFile]:
        self._guard.run(self._pin_open, paths, holder, entries)
        while len(entries) < len(paths):
            # Opened one by one, so that other threads get their turn.
            self._guard.run(self._pin, paths[len(entries)], holder, entries)
            self._guard.run(self._pin_open, paths, holder, entries)
        return entries

    def _pin_open(self, paths: Sequence[str], holder: object, entries: list[OpenFile]) -> None:
        """Pin the next files, up to one that is not open."""
        for path in islice(paths, len(entries), None):
            entry = self._by_path.get(path)
            if entry is None:
                return
            self._hold(entry, holder, entries)

    def _pin(self, path: str, holder: object, entries: list[OpenFile]) -> OpenFile:
        return self._hold(self._by_path.get(path) or self._open(path), holder, entries)

    def _hold(self, entry: OpenFile, holder: object, entries: list[OpenFile]) -> OpenFile:
        self._by_path.move_to_end(entry.guard.path)
        # Listed before it is held: after an interrupt, what is listed is released.
        entries.append(entry)
        entry.holders.add(holder)
        return entry

    def _unpin(self, holder: object, entries: list[OpenFile]) -> None:
        # May run again after an interrupt: releasing twice changes nothing.
        for entry in entries:
            entry.holders.discard(holder)
            if entry.is_retired and not entry.holders:
                entry.close()
        entries.clear()
        self._shrink(self.raw.budget.most)

    def retire(self, entry: OpenFile) -> bool:
        """Close a file, after its use if it is in use, and open it anew next time; returns whether it is closed."""
        # Two threads that hold their own guards may each try to retire a file of the other.
        return bool(self._guard.attempt(_PATIENCE_S, self._retire, entry))

    def _retire(self, entry: OpenFile) -> bool:
        if self._by_path.get(entry.guard.path) is entry:
            entry.is_retired = True
            if not entry.holders:
                entry.close()
            del self._by_path[entry.guard.path]
        return not entry.holders

    def close(self) -> None:
        """Close all files, those in use after their use."""
        self._guard.run(self._close)
        self.raw.close()

    def _close(self) -> None:
        while self._by_path:
            self._retire(next(iter(self._by_path.values())))

    def _open(self, path: str) -> OpenFile:
        budget = self.raw.budget
        self._shrink(budget.most - 1)
        budget.make_room()
        try:
            file = self._opened(path)
        except BadFileError:
            check_unopened(path, self._scanned_files)
            raise
        try:
            guard = OpenFileGuard(path, file.id.get_vfd_handle())
            if self._scanned_files is not None:
                check_scanned(path, guard.stamp, self._scanned_files)
            sources = self._sources(path)
        except BaseException:
            file.close()
            raise
        entry = self._by_path[path] = OpenFile(file, guard, sources)
        entry.hold(self)
        self.opened += 1
        return entry

    def _sources(self, path: str) -> SourceGuard | None:
        """The guard of the files that a file takes values from; None if it may take none."""
        if self._access.allow_external is None:
            return None
        sources = SourceGuard(path, self._scanned_files)
        sources.check()
        return sources

    def _opened(self, path: str) -> h5py.File:
        while True:
            try:
                return open_file(path, self._access, rdcc_nbytes=self._rdcc_nbytes)
            except ResourceError:  # noqa: PERF203 - once in a run
                if not self.raw.budget.give_back():
                    raise

    def _close_half(self) -> bool:
        """Close half of the files that are open through HDF5, unless they are in use; whether any was closed."""
        return self._guard.run(self._halve)

    def _halve(self) -> bool:
        held = len(self._by_path)
        self._shrink(held // 2)
        return len(self._by_path) < held

    def _shrink(self, most: int) -> None:
        excess = len(self._by_path) - most
        if excess <= 0:
            return
        for entry in [*islice((entry for entry in self._by_path.values() if not entry.holders), excess)]:
            del self._by_path[entry.guard.path]
            entry.close()
