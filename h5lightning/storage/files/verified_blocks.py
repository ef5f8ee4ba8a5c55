"""Verifies the blocks of a file against their checksums, each when it is first read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import xxhash

from h5lightning.core.arrays import Bytes, Int64Array, flat_positions
from h5lightning.errors import BadFileError, ChecksumError
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES, FileChecksums, block_count
from h5lightning.planning.catalog.file_stamps import ScannedFiles, Stamp

__all__ = [
    "DamagedBlockError",
    "VerifiedBlocks",
    "hashes_of",
    "read_blocks",
    "verified_blocks",
]


_READ_BLOCKS = 64  # at a time
_MAKE_THEM = "'h5lightning index --checksum' of the same files makes them"


class DamagedBlockError(Exception):
    """A block that does not match its checksum.

    Args:
        path: where the file lies.
        start: its first byte in the file.
        stop: one past its last byte.
        advice: what may have happened and what to do.
    """

    def __init__(self, path: str, start: int, stop: int, advice: str) -> None:
        super().__init__(path, start, stop, advice)
        self.path, self.start, self.stop, self.advice = path, start, stop, advice

    def of(self, what: str) -> ChecksumError:
        """The error for users; its text begins with ``what``."""
        return ChecksumError(
            f"{what}: bytes {self.start} to {self.stop - 1} of the file do not match their checksum. "
            f"{self.advice}"
        )


class VerifiedBlocks:
    """Which blocks of a file this process has verified; any number of threads may use it.

    Args:
        path: where the file lies.
        sums: the checksums of the file.
        mtime_ns: its time of modification now.
    """

    def __init__(self, path: str, sums: FileChecksums, mtime_ns: int) -> None:
        self.path = path
        self.size = sums.size
        self.is_whole = not len(sums.hashes)  # whether all blocks have been verified
        self._sums = sums
        self._is_rewritten = mtime_ns != sums.mtime_ns
        self._is_verified = np.zeros(len(sums.hashes), np.bool_)

    def check_in(self, view: Bytes, starts: Int64Array, size: int | Int64Array) -> None:
        """Verify the blocks that hold some parts of the file, unless they were verified before.

        Args:
            view: the bytes of the file, ``(file bytes,)``.
            starts: first byte of each part, ``(N,)``.
            size: bytes of a part; one number, or one for each, ``(N,)``.

        Raises:
            DamagedBlockError: a block does not match its checksum.
        """
        first = starts // BLOCK_BYTES
        blocks = flat_positions(first, (starts + (size - 1)) // BLOCK_BYTES - first + 1)
        new = np.unique(blocks[~self._is_verified[blocks]]).tolist()
        for block in new:
            self.check(block, view[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES].data)
        if new:
            self.is_whole = bool(self._is_verified.all())

    def check_bytes(self, start: int, data: Bytes) -> None:
        """Verify bytes that were read.

        Args:
            start: their first byte in the file, at the start of a block.
            data: whole blocks, ``(size,)``.

        Raises:
            DamagedBlockError: a block does not match its checksum.
        """
        for offset in range(0, len(data), BLOCK_BYTES):
            self.check((start + offset) // BLOCK_BYTES, data[offset : offset + BLOCK_BYTES].data)

    def check_file(self, descriptor: int, *, only_metadata: bool = False) -> None:
        """Read and verify all blocks that were not verified before.

        Args:
            descriptor: the open file.
            only_metadata: leave out blocks that hold nothing but values.

        Raises:
            ChecksumError: a block does not match its checksum.
            BadFileError: the system cannot read the file.
        """
        is_unverified = ~self._is_verified & ~self._sums.is_values if only_metadata else ~self._is_verified
        try:
            for block, data in read_blocks(descriptor, np.flatnonzero(is_unverified)):
                self.check(block, data)
        except DamagedBlockError as error:
            raise error.of(self.path) from error
        except OSError as error:
            reason = f"{self.path} cannot be read: {error.strerror}. Check the disk or the mount"
            raise BadFileError(reason) from error

    def check(self, block: int, data: memoryview) -> None:
        """Verify one block.

        Raises:
            DamagedBlockError: it does not match its checksum.
        """
        if xxhash.xxh3_64_intdigest(data) != int(self._sums.hashes[block]):
            start = block * BLOCK_BYTES
            stop = min(start + BLOCK_BYTES, self.size)
            raise DamagedBlockError(self.path, start, stop, self._advice)
        self._is_verified[block] = True

    @property
    def _advice(self) -> str:
        if self._is_rewritten:
            return (
                f"The file was modified after its checksums were made. If that was intended: {_MAKE_THEM}; otherwise "
                "copy the file again"
            )
        return "The file is damaged: copy it again"


def verified_blocks(path: str, stamp: Stamp, scanned_files: ScannedFiles | None) -> VerifiedBlocks:
    """The verifier of a file.

    Args:
        path: where the file lies.
        stamp: its present stamp.
        scanned_files: holds the checksums.

    Raises:
        ChecksumError: it has no checksums, or those of a file of another size.
    """
    sums = None if scanned_files is None else scanned_files.checksums_of(path)
    if sums is None:
        raise ChecksumError(f"{path} has no checksums, which access.verify needs: {_MAKE_THEM}")
    if sums.size != stamp[0]:
        raise ChecksumError(
            f"{path} has {stamp[0]} bytes, {sums.size} when its checksums were made. If that was intended: "
            f"{_MAKE_THEM}; otherwise copy the file again"
        )
    return VerifiedBlocks(path, sums, stamp[1])


def hashes_of(descriptor: int, size: int) -> npt.NDArray[np.uint64]:
    """The checksum of each block of a file, ``(blocks,)``.

    Raises:
        OSError: the system cannot read it.
    """
    every = np.arange(block_count(size))
    return np.fromiter(
        (xxhash.xxh3_64_intdigest(data) for _, data in read_blocks(descriptor, every)), np.uint64, len(every)
    )


def read_blocks(descriptor: int, blocks: Int64Array) -> Iterator[tuple[int, memoryview]]:
    """Some ascending blocks of a file, with their bytes, fewer or none past its end; neighbours are read together.

    Raises:
        OSError: the system cannot read it.
    """
    borders = [*np.flatnonzero(np.diff(blocks, prepend=-2) != 1).tolist(), len(blocks)]
    for first, last in pairwise(borders):
        for start in range(first, last, _READ_BLOCKS):
            neighbours = blocks[start : min(start + _READ_BLOCKS, last)].tolist()
            data = memoryview(
                os.pread(descriptor, len(neighbours) * BLOCK_BYTES, neighbours[0] * BLOCK_BYTES)
            )
            for number, block in enumerate(neighbours):
                yield block, data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]
