"""Reads the bytes of a file without HDF5: from a memory map or by system calls, which may be verified."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import Protocol, TypeAlias

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.errors import BadFileError, FileChangedError
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES
from h5lightning.storage.files.coalescing import merge_byte_ranges
from h5lightning.storage.files.descriptor import Descriptor
from h5lightning.storage.files.file_guard import FileGuard
from h5lightning.storage.files.mapped_file import MappedFile
from h5lightning.storage.files.verified_blocks import VerifiedBlocks
from h5lightning.storage.filesystems.mounts import is_remote_device

__all__ = ["Budget", "ByteReader", "RawFile", "VerifiedFile"]


class Budget(Protocol):
    """Opens and maps files, and says which of them stay so; see `FileBudget`."""

    def opened(self, path: str) -> Descriptor:
        """Open a file."""

    def mapped(self, descriptor: Descriptor, size: int) -> MappedFile:
        """Map a file."""

    def keep_descriptor(self, file: RawFile, descriptor: Descriptor) -> None:
        """Let a file keep its descriptor, if there is room."""

    def keep_map(self, file: RawFile, mapped: MappedFile) -> None:
        """Let a file keep its map, if there is room."""


class _Unlimited:
    """A budget for files that stay open until they are closed."""

    def opened(self, path: str) -> Descriptor:
        """Open a file."""
        return Descriptor(path)

    def mapped(self, descriptor: Descriptor, size: int) -> MappedFile:
        """Map a file."""
        return MappedFile(descriptor.number, size)

    def keep_descriptor(self, file: RawFile, descriptor: Descriptor) -> None:
        """Let a file keep its descriptor."""
        file.kept_descriptor = descriptor

    def keep_map(self, file: RawFile, mapped: MappedFile) -> None:
        """Let a file keep its map."""
        file.kept_map = mapped


_UNLIMITED = _Unlimited()


class RawFile:
    """A file that was opened once; any number of threads may read it, in the process that opened it.

    Its descriptor and its map come and go: each is made again when it is needed, if the file is still the same.

    Args:
        path: where the file lies.
        number: its number among the files of a process.
        budget: how many descriptors and maps files keep; None to keep those of this file until it is closed.

    Raises:
        BadFileError: it cannot be opened.

    Attributes:
        stamp: its stamp when it was opened first.
        scan_number: its number in the catalog that says where its values lie; -1 if none does.
        kept_descriptor: its descriptor; None if it is closed.
        kept_map: its map; None if it is not mapped.
    """

    __slots__ = (
        "__weakref__",
        "_budget",
        "_guard",
        "kept_descriptor",
        "kept_map",
        "number",
        "path",
        "scan_number",
        "stamp",
    )

    def __init__(self, path: str, number: int = 0, budget: Budget | None = None) -> None:
        self.path, self.number = path, number
        budget = _UNLIMITED if budget is None else budget
        self._budget = weakref.ref(budget)
        self.scan_number = -1
        self.kept_map: MappedFile | None = None
        opened = budget.opened(path)
        self.kept_descriptor: Descriptor | None = opened
        self._guard = FileGuard(path, opened.status)
        self.stamp = self._guard.stamp

    def descriptor(self) -> Descriptor:
        """The descriptor; hold this object as long as its number is used.

        Raises:
            BadFileError: the file cannot be opened.
            FileChangedError: it was written to or replaced since it was opened first.
        """
        held, budget = self.kept_descriptor, self._budget()
        if held is None:
            held = self._opened_again(budget)
            if budget is not None:
                budget.keep_descriptor(self, held)
        return held

    def _opened_again(self, budget: Budget | None) -> Descriptor:
        # Without a budget, all files were closed while this one is read: it is open for this use only.
        held = Descriptor(self.path) if budget is None else budget.opened(self.path)
        self._guard.check_opened(held.status)
        return held

    def keep_open(self) -> None:
        """Keep the descriptor as long as the budget allows it."""
        held, budget = self.kept_descriptor, self._budget()
        if held is not None and budget is not None:
            budget.keep_descriptor(self, held)

    def check(self) -> bool:
        """Raise if the file changed since it was opened; call this each time before its map is read.

        Returns:
            Whether its mode and its links are still the same; True as long as it is open.

        Raises:
            FileChangedError: it was written to, replaced or deleted; if it is not open: or renamed.
            BadFileError: the system does not say.
        """
        held = self.kept_descriptor
        if held is None:
            return self._guard.check_path()
        self._guard.check_open(held.number)
        return True

    def close(self) -> None:
        """Close the file and unmap it, when nobody reads it any more; it is opened again when it is read again."""
        self.kept_descriptor = self.kept_map = None

    @property
    def may_be_mapped(self) -> bool:
        """Whether a map of the file is safe: another host could delete a file of a network file system."""
        return not is_remote_device(self._guard.identity[0])

    def mapped(self) -> MappedFile:
        """The file in memory: hold this object, and call `check` each time before reading from it.

        Raises:
            BadFileError: it cannot be mapped, or not be opened.
            FileChangedError: it was written to or replaced since it was opened first.
        """
        mapped = self.kept_map
        return self._mapped_again() if mapped is None else mapped

    def _mapped_again(self) -> MappedFile:
        budget = self._budget()
        # A mapped file needs no descriptor, so one that is opened for it is not kept.
        held = self.kept_descriptor or self._opened_again(budget)
        budget = _UNLIMITED if budget is None else budget
        try:
            mapped = budget.mapped(held, self.stamp[0])
        except OSError as error:
            raise BadFileError(f"{self.path} cannot be mapped: {error}. Use reader='h5py'") from error
        budget.keep_map(self, mapped)
        return mapped

    def is_cached(self, offset: int) -> bool:
        """Whether a byte is in the page cache; True if the system does not say."""
        held = self.descriptor()
        try:
            os.preadv(held.number, [bytearray(1)], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            return False
        except (OSError, AttributeError):
            return True
        return True

    def prefetch(self, starts: Int64Array, sizes: Int64Array) -> None:
        """Ask the system to fetch some bytes, without waiting for them; nothing happens where it cannot.

        Args:
            starts: first byte of each range, in any order, ``(N,)``.
            sizes: bytes of each range, ``(N,)``.
        """
        if not hasattr(os, "posix_fadvise"):
            return
        starts, sizes = merge_byte_ranges(starts, sizes)
        held = self.descriptor()
        with suppress(OSError):
            for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
                os.posix_fadvise(held.number, start, size, os.POSIX_FADV_WILLNEED)

    def read(self, offset: int, size: int, scratch: Bytes | None = None) -> Bytes:
        """Bytes of the file, ``(size,)``.

        Args:
            offset: the first byte.
            size: number of bytes.
            scratch: memory to read into if it is large enough; None to allocate memory.

        Raises:
            FileChangedError: the file ends before.
            BadFileError: the system cannot read it.
        """
        data = np.empty(size, np.uint8) if scratch is None or len(scratch) < size else scratch[:size]
        self.read_into(offset, data)
        return data

    def read_into(self, offset: int, into: Bytes) -> None:
        """Fill memory, ``(size,)``, with bytes of the file.

        Raises:
            FileChangedError: the file ends before.
            BadFileError: the system cannot read it.
        """
        done, size, memory, held = 0, len(into), into.data, self.descriptor()
        try:
            while done < size and (more := os.preadv(held.number, [memory[done:]], offset + done)):
                done += more
        except OSError as error:
            raise BadFileError(
                f"{self.path} cannot be read: {error.strerror}. Check the disk or the mount"
            ) from error
        if done < size:
            end = os.fstat(held.number).st_size
            raise FileChangedError(
                f"{self.path} was cut off while it was read: it ends at byte {end}, expected {offset + size} at "
                "least. Do not write to files that a run reads"
            )


class VerifiedFile:
    """A file that is read as `RawFile`, in whole blocks; each is verified every time, and no damaged byte delivered.

    Args:
        raw: the open file.
        blocks: its checksums.
    """

    def __init__(self, raw: RawFile, blocks: VerifiedBlocks) -> None:
        self.path = raw.path
        self._raw = raw
        self._blocks = blocks

    def read(self, offset: int, size: int, scratch: Bytes | None = None) -> Bytes:
        """Bytes of the file, ``(size,)``; see `RawFile.read`.

        Raises:
            DamagedBlockError: a block does not match its checksum.
            FileChangedError: the file ends before.
            BadFileError: the system cannot read it.
        """
        start = offset - offset % BLOCK_BYTES
        stop = min(-(-(offset + size) // BLOCK_BYTES) * BLOCK_BYTES, self._blocks.size)
        data = self._raw.read(start, max(stop, offset + size) - start, scratch)
        self._blocks.check_bytes(start, data)
        return data[offset - start : offset - start + size]

    def read_into(self, offset: int, into: Bytes) -> None:
        """Fill memory, ``(size,)``, with bytes of the file; see `read`."""
        into[:] = self.read(offset, len(into))


ByteReader: TypeAlias = RawFile | VerifiedFile  # what is read by calls of the system
