"""The files that one process has opened without HDF5: known by path and number, long after they were closed.

What was found out about a file stays known: its stamp, and where its values lie. So a file that comes again costs one
look at its status, and an ``open`` where its bytes are read by system calls.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.monitor import Guard
from h5lightning.errors import BadFileError
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.storage.files.file_budget import FileBudget
from h5lightning.storage.files.file_guard import check_scanned, check_unopened
from h5lightning.storage.files.mapped_file import MappedFile
from h5lightning.storage.files.raw_file import RawFile

__all__ = ["FileBatch", "KnownFiles", "MappedFiles", "RawFiles"]

_MOST_FILES = 131_072  # about 0.8 KiB each
_FORGOTTEN_AT_ONCE = 128  # one of so many files: unmapping more of them would delay a batch


class KnownFiles:
    """Files by path, numbered in the order of their opening; no number is used twice.

    Attributes:
        by_path: the files, in the order of their numbers.
        first: a number that no file is below.
        stop: the number of the next file.
    """

    def __init__(self) -> None:
        self.by_path: dict[str, RawFile] = {}
        self.first = self.stop = 0

    def __len__(self) -> int:
        return len(self.by_path)

    def add(self, file: RawFile) -> None:
        """Know a file that has the next number; it takes the place of one with the same path."""
        self.stop += 1  # first, so that an interrupt leaves no number to two files
        self.by_path.pop(file.path, None)
        self.by_path[file.path] = file

    def pop_oldest(self, count: int) -> list[RawFile]:
        """Forget the files with the lowest numbers."""
        oldest = [self.by_path.pop(path) for path in list(islice(self.by_path, count))]
        self.first = next((file.number for file in self.by_path.values()), self.stop)
        return oldest


class MappedFiles(NamedTuple):
    """The maps of the files of a batch.

    Args:
        maps: the map of each file; None where it is not mapped.
        addresses: where the first byte of each file lies, valid as long as its map is held; 0 where it is not mapped,
            ``(files,)``.
    """

    maps: list[MappedFile | None]
    addresses: Int64Array

    def of(self, place: int) -> MappedFile | None:
        """The map of one file."""
        return self.maps[place]


class FileBatch:
    """The files of a batch.

    Args:
        known: the files among which they have their numbers.
        files: the files.

    Attributes:
        numbers: their numbers, ``(files,)``.
        first: the lowest of them.
        stop: one more than the highest of them.
    """

    def __init__(self, known: KnownFiles, files: list[RawFile]) -> None:
        self.known = known
        self.files = files
        self.numbers: Int64Array = np.fromiter((file.number for file in files), np.int64, len(files))
        self.first, self.stop = (
            int(self.numbers.min(initial=known.stop)),
            int(self.numbers.max(initial=-1)) + 1,
        )
        self._mapped: MappedFiles | None = None
        self._scan_numbers: Int64Array | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def scan_numbers(self) -> Int64Array:
        """Their numbers in the catalog; -1 where it does not say where the values lie, ``(files,)``."""
        numbers = self._scan_numbers
        if numbers is None:
            numbers = np.fromiter((file.scan_number for file in self.files), np.int64, len(self.files))
            self._scan_numbers = numbers
        return numbers

    def mapped(self, memory_map: bool | None) -> MappedFiles:
        """The files in memory.

        Args:
            memory_map: see `Access`.
        """
        mapped = self._mapped
        if mapped is None:
            maps = [_map_of(file, memory_map) for file in self.files]
            bases = (0 if one is None else one.address for one in maps)
            mapped = self._mapped = MappedFiles(maps, np.fromiter(bases, np.int64, len(maps)))
        return mapped


def _map_of(file: RawFile, memory_map: bool | None) -> MappedFile | None:
    mapped = file.kept_map
    if mapped is None and (file.may_be_mapped if memory_map is None else memory_map):
        with suppress(BadFileError):  # some file systems cannot map files
            return file.mapped()
    return mapped


class RawFiles:
    """The files of one process; any number of threads may use it.

    Args:
        scanned_files: what files looked like when they were scanned; a file that changed since is not opened.
        most: descriptors of files, those of HDF5 included.
        handles: the files that are open through HDF5.
        close_handles: see `FileBudget`.

    Attributes:
        budget: how many descriptors and maps they keep.
        opened: how often a file was opened that was not known.
    """

    def __init__(
        self,
        scanned_files: ScannedFiles | None,
        most: int,
        handles: Sized,
        close_handles: weakref.WeakMethod[Callable[[], bool]],
    ) -> None:
        self._scanned_files = scanned_files
        self.budget = FileBudget(most, handles, close_handles)
        self.opened = 0
        self._known = KnownFiles()
        self._last: FileBatch | None = None
        self._guard = Guard()  # held while a file is opened

    def checked(self, paths: Sequence[str]) -> FileBatch:
        """Some files, each of which is still the one that was opened first.

        Raises:
            BadFileError: a file cannot be opened.
            FileChangedError: a file is not the one that was scanned or opened first.
        """
        known = self._known
        by_path = known.by_path
        files = [by_path.get(path) or self._open(known, path) for path in paths]
        for position, is_same in enumerate([file.check() for file in files]):
            if not is_same:
                files[position] = self._open(known, paths[position], files[position])
        last = self._last
        if last is None or last.files != files:
            last = self._last = FileBatch(known, files)
        return last

    @property
    def most_at_once(self) -> int:
        """Files that a batch may have: the maps of all of them are held while it is read."""
        return self.budget.most_maps

    def one(self, path: str) -> tuple[KnownFiles, RawFile]:
        """One file, which is not checked, and the files among which it has its number; see `checked`."""
        known = self._known
        return known, known.by_path.get(path) or self._open(known, path)

    def close(self) -> None:
        """Close and forget all files; those in use are closed after their use."""
        self._guard.run(self._forget)

    def _forget(self) -> None:
        # Files that are still read lose their budget, and keep nothing any more.
        self._known, self._last, self.budget = KnownFiles(), None, self.budget.renewed()

    def _open(self, known: KnownFiles, path: str, changed: RawFile | None = None) -> RawFile:
        return self._guard.run(self._opened, known, path, changed)

    def _opened(self, known: KnownFiles, path: str, changed: RawFile | None) -> RawFile:
        """The file at a path; it is opened unless it is known, and is not the one that changed."""
        file = known.by_path.get(path)
        if file is None or file is changed:
            file = self._checked_file(path, known.stop)
            known.add(file)
            self.opened += 1
            if len(known) > _MOST_FILES:
                for old in known.pop_oldest(max(1, _MOST_FILES // _FORGOTTEN_AT_ONCE)):
                    self.budget.forget(old)
        return file

    def _checked_file(self, path: str, number: int) -> RawFile:
        scanned_files = self._scanned_files
        try:
            file = RawFile(path, number, self.budget)
        except BadFileError:
            check_unopened(path, scanned_files)
            raise
        if scanned_files is not None:
            scan_number = check_scanned(path, file.stamp, scanned_files)
            file.scan_number = -1 if scan_number is None else scan_number
        file.keep_open()
        return file
