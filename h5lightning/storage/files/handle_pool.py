"""Keeps files open between reads, within a budget for each process.

A handle belongs to one process. A `HandlePool` may be pickled or forked, and then starts empty; inherited handles are
dropped without being used.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import h5py

from h5lightning.core.process_local import ProcessLocal, remade
from h5lightning.errors import FileChangedError, H5LightningError
from h5lightning.options import Access
from h5lightning.planning.catalog.file_stamps import ScannedFiles, Stamp
from h5lightning.storage.files.file_guard import SourceGuard
from h5lightning.storage.files.open_files import LENT, OpenFile, OpenFiles
from h5lightning.storage.files.raw_files import RawFiles
from h5lightning.storage.files.verified_blocks import VerifiedBlocks
from h5lightning.storage.hdf5.open_dataset import open_dataset

__all__ = ["HandlePool"]

T = TypeVar("T")
Result = TypeVar("Result")

_VERIFIED = object()

# Files that one call holds at the same time, and the part of the budget that these may be: other threads hold some too.
_MOST_TOGETHER = 64
_SHARE = 8


class HandlePool:
    """Open files by path; any number of threads may use it.

    Files stay open between uses, and the least recently used one makes room for the next. More files than the budget
    are open only while more are in use at the same time. Pickled or forked, the pool starts empty.

    Args:
        access: how files are opened, how many, and what HDF5 may cache.
        processes: loading processes on this machine, which share the budget.
        scanned_files: what files looked like when they were scanned; a file that changed since is not opened.

    Example:
        >>> with HandlePool(Access()) as pool, pool.dataset("a.h5", "x") as dataset:  # doctest: +SKIP
        ...     dataset.shape
    """

    def __init__(
        self, access: Access, *, processes: int = 1, scanned_files: ScannedFiles | None = None
    ) -> None:
        self.access = access
        self.processes = processes
        self.scanned_files = scanned_files
        self._local: ProcessLocal[OpenFiles] = ProcessLocal()
        weakref.finalize(self, _finish, weakref.ref(self), self._local)

    def __reduce__(self) -> tuple[Any, ...]:
        named = {"access": self.access, "processes": self.processes, "scanned_files": self.scanned_files}
        return remade, (type(self), named)

    def __enter__(self) -> HandlePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Files that this process holds open."""
        return len(self._files())

    @property
    def budget(self) -> int:
        """Files that this process may hold open."""
        return self._files().raw.budget.most

    @property
    def opened(self) -> int:
        """How often this process has opened a file since the pool was made."""
        files = self._files()
        return files.opened + files.raw.opened

    @property
    def raw_files(self) -> RawFiles:
        """The files that this process reads without HDF5, within the same budget."""
        return self._files().raw

    def file(self, path: str) -> AbstractContextManager[h5py.File]:
        """The open file, which stays open inside the ``with`` block.

        Raises:
            BadFileError: HDF5 cannot open it.
        """
        return self.kept(path, None, lambda file: file)

    def lent(self, path: str) -> AbstractContextManager[h5py.h5f.FileID]:
        """A handle for code that does not know of the others, which it would close; see `file`."""
        return self.kept(path, LENT, lambda file: file.id.reopen())

    def blocks(self, path: str, stamp: Stamp) -> VerifiedBlocks | None:
        """What verifies the bytes of an open file in this process; None without ``access.verify``.

        Args:
            path: where the file lies.
            stamp: its stamp.

        Raises:
            ChecksumError: it has no checksums, or those of a file of another size.
        """
        return self._files().blocks(path, stamp) if self.access.verify else None

    def verify(self, path: str, stamp: Stamp, descriptor: int, *, only_metadata: bool = False) -> None:
        """Verify an open file as a whole, before HDF5 reads any of it; does nothing without ``access.verify``.

        Args:
            path: where the file lies.
            stamp: its stamp.
            descriptor: the open file.
            only_metadata: leave out blocks that hold nothing but values.

        Raises:
            ChecksumError: a block does not match its checksum, or the file has no checksums.
            BadFileError: the system cannot read it.
        """
        blocks = self.blocks(path, stamp)
        if blocks is not None:
            blocks.check_file(descriptor, only_metadata=only_metadata)

    def using(
        self, path: str, key: Hashable, make: Callable[[h5py.File], T], function: Callable[[T], Result]
    ) -> Result:
        """What a function returns for what ``make`` derives from one open file; see `using_each`."""
        results: list[Result] = []
        self.using_each(
            [path], key, lambda _, file: make(file), lambda _, made: results.append(function(made))
        )
        return results[0]

    def using_each(
        self,
        paths: Sequence[str],
        key: Hashable | Callable[[int], Hashable],
        make: Callable[[int, h5py.File], T],
        function: Callable[[int, T], object],
        *,
        sources: Callable[[int, T], Iterable[str]] | None = None,
    ) -> None:
        """Call a function for each of some files with what ``make`` derives from it, while the file stays open.

        Args:
            paths: where the files lie; a file that follows itself is checked once.
            key: names what is derived; ``make`` is called once for a key as long as the file stays open. If it
                differs between paths, it says the name for the number of a path, and only some of what is derived is
                kept.
            make: derives it from the open file, given the number of its path.
            function: called with the number of a path and with what was derived.
            sources: the other files that the function reads; None for all that the file takes values from.

        Raises:
            BadFileError: HDF5 cannot open a file.
            FileChangedError: a file, or one that it takes values from, is not the one that was scanned, or was
                written to while it was open.
            ChecksumError: with ``access.verify``, a block does not match its checksum.
        """

        def use(first: int, entries: Sequence[OpenFile]) -> None:
            touched: set[str] = set()
            for number, entry in enumerate(entries, first):
                try:
                    name = key(number) if callable(key) else key
                    made: T | None = entry.kept.get(name)
                    if made is None:
                        most = files.most_parts if callable(key) else None
                        made = self._derived(entry, name, partial(make, number), most)
                    function(number, made)
                except H5LightningError:
                    self._check(entry, None)
                    raise
                if sources is not None and entry.sources is not None:
                    touched.update(sources(number, made))
                place = number - first + 1
                if place == len(entries) or entries[place] is not entry:
                    # After the reading: HDF5 reads zeros where a file was cut off.
                    self._check(entry, None if sources is None or entry.sources is None else touched)
                    touched = set()

        files = self._files()
        together = max(1, min(_MOST_TOGETHER, files.raw.budget.most // _SHARE))
        for first in range(0, len(paths), together):
            files.use(paths[first : first + together], partial(use, first))

    def check_sources(self, path: str) -> None:
        """Raise if a file that this one takes values from changed since it was scanned.

        Raises:
            FileChangedError: it changed.
        """
        if self.access.allow_external is not None:
            SourceGuard(path, self.scanned_files).check()

    @contextmanager
    def kept(self, path: str, key: Hashable, make: Callable[[h5py.File], T]) -> Iterator[T]:
        """What ``make`` derives from the open file, which stays open inside the ``with`` block; see `using`."""
        with self._files().held(path) as entry:
            try:
                yield self._derived(entry, key, make)
            except H5LightningError:
                self._check(entry, None)
                raise
            self._check(entry, None)

    def _derived(
        self, entry: OpenFile, key: Hashable, make: Callable[[h5py.File], T], most: int | None = None
    ) -> T:
        if self.access.verify:
            entry.keep(_VERIFIED, partial(self._verify_opened, entry))
        if key not in entry.kept and entry.sources is not None:
            entry.sources.check()
        return entry.keep(key, make, most)

    def dataset(self, path: str, name: str) -> AbstractContextManager[h5py.Dataset]:
        """A dataset of the open file, both of which stay open inside the ``with`` block.

        Raises:
            BadFileError: HDF5 cannot open the file or the dataset.
            MissingFieldError: the file does not hold it.
            UnsupportedFieldError: it is a group, its values lie elsewhere, or it has a filter that may not be used.
        """
        return self.kept(path, name, partial(open_dataset, path=path, name=name, access=self.access))

    def close(self) -> None:
        """Close the files of this process, those in use after their use; the pool itself stays usable."""
        self._files().close()

    def _check(self, entry: OpenFile, sources: Iterable[str] | None) -> None:
        try:
            entry.guard.check()
            if entry.sources is not None:
                entry.sources.check(sources)
        except FileChangedError:
            # HDF5 caches the old bytes as long as any object of the file is open.
            self._files().retire(entry)
            raise

    def _verify_opened(self, entry: OpenFile, file: h5py.File) -> bool:
        self.verify(entry.guard.path, entry.guard.stamp, file.id.get_vfd_handle())
        return True

    def _files(self) -> OpenFiles:
        # Dropping an inherited handle closes this process's copy of the descriptor, without I/O and without
        # unlocking. Were it kept, HDF5 would find the file among its open ones and share the descriptor after all.
        return self._local.get(lambda: OpenFiles(self.access, self.processes, self.scanned_files))


def _finish(pool: weakref.ref[HandlePool], local: ProcessLocal[OpenFiles]) -> None:
    files = local.peek()
    if files is None:
        return
    left_open = len(files)
    files.close()
    # At interpreter exit the pool is still alive, and could not have been closed later.
    if left_open and pool() is None:
        text = f"a HandlePool with {left_open} open files was not closed"
        warnings.warn(text, ResourceWarning, stacklevel=2)
