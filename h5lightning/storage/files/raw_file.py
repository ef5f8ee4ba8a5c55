"""Reads the bytes of a file without HDF5: from a memory map or by system calls, which may be verified."""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from io import FileIO
from typing import TypeAlias

import numpy as np

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.frozen import once
from h5lightning.errors import BadFileError, FileChangedError
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES
from h5lightning.storage.files.coalescing import merge_byte_ranges
from h5lightning.storage.files.file_guard import OpenFileGuard
from h5lightning.storage.files.verified_blocks import VerifiedBlocks
from h5lightning.storage.filesystems.mounts import is_remote
from h5lightning.storage.hdf5.open_file import open_descriptor

__all__ = ["ByteReader", "RawFile", "VerifiedFile"]


class RawFile:
    """An open file; any number of threads may read it, in the process that opened it.

    ``check()`` raises `FileChangedError` if the file changed since it was opened.

    Args:
        path: where the file lies.

    Raises:
        BadFileError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # A FileIO closes its descriptor once, even if several threads close it, and when it is dropped.
        self._file = FileIO(open_descriptor(path))
        self._descriptor = self._file.fileno()
        self._watch = OpenFileGuard(path, self._descriptor)
        self.stamp = self._watch.stamp
        self.check = self._watch.check

    def __del__(self) -> None:
        # A process that inherits an open file drops it without closing it.
        if "_file" in self.__dict__:
            self.close()

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Close the descriptor; the map is freed with the last array that refers to it."""
        self._descriptor = -1  # first: another file may soon get its number
        self.__dict__.pop("view", None)
        self._file.close()

    @property
    def may_be_mapped(self) -> bool:
        """Whether a map of the file is safe: another host could delete a file of a network file system."""
        return not is_remote(self._descriptor)

    @once
    def view(self) -> Bytes:
        """The bytes of the file, ``(size,)``, mapped into memory: call `check` each time before reading them."""
        if self._descriptor < 0:
            # The descriptor -1 would give a map of zeros.
            raise BadFileError(f"{self.path} was closed while it was read. Read again")
        try:
            mapped = mmap.mmap(self._descriptor, self.stamp[0], access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise BadFileError(f"{self.path} cannot be mapped: {error}. Use reader='h5py'") from error
        return np.frombuffer(mapped, np.uint8)

    def is_cached(self, offset: int) -> bool:
        """Whether a byte is in the page cache; True if the system does not say."""
        try:
            os.preadv(self._descriptor, [bytearray(1)], offset, os.RWF_NOWAIT)
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
        with suppress(OSError):
            for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
                os.posix_fadvise(self._descriptor, start, size, os.POSIX_FADV_WILLNEED)

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
        done, size, memory = 0, len(into), into.data
        try:
            while done < size and (more := os.preadv(self._descriptor, [memory[done:]], offset + done)):
                done += more
        except OSError as error:
            raise BadFileError(
                f"{self.path} cannot be read: {error.strerror}. Check the disk or the mount"
            ) from error
        if done < size:
            end = os.fstat(self._descriptor).st_size
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
