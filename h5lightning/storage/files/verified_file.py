"""Reads a file in whole blocks, and verifies each of them every time it is read."""

from __future__ import annotations

from typing import TypeAlias

from h5lightning.core.arrays import Bytes
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.verified_blocks import VerifiedBlocks

__all__ = ["ByteReader", "VerifiedFile"]


class VerifiedFile:
    """A file that is read as `RawFile`, but never delivers a damaged byte.

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
