"""Unfiltered rows whose bytes are held against the checksums of their files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from h5lightning.errors import ChecksumError
from h5lightning.storage.files.verified_blocks import DamagedBlockError
from h5lightning.storage.readers.checks import name_of
from h5lightning.storage.readers.direct.open_source import OpenSource, RowGroup
from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["VerifiedRows"]


class VerifiedRows:
    """A group of rows that never delivers a damaged byte; see `RowGroup`.

    It verifies the blocks of mapped files when a row first needs them; `VerifiedFile` verifies what system calls read.
    """

    def __init__(self, group: RowGroup, sources: Sequence[OpenSource]) -> None:
        self._group = group
        self._sources = sources

    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """See `RowGroup.put`.

        Raises:
            ChecksumError: a block that holds some of them does not match its checksum.
        """
        borders = request.borders.tolist()
        try:
            for source, (start, stop) in zip(self._sources, pairwise(borders), strict=True):
                blocks = source.blocks
                if start < stop and source.view is not None and blocks is not None and not blocks.is_whole:
                    starts, sizes = source.chunk_map.byte_ranges(request.rows[start:stop])
                    blocks.check_in(source.view, starts, int(sizes[0]))
            self._group.put(request, to)
        except DamagedBlockError as error:
            raise self._damaged(request, error) from error

    def _damaged(self, request: ReadRequest, error: DamagedBlockError) -> ChecksumError:
        """The error that names the rows of the damaged file."""
        file = [source.raw.path for source in self._sources].index(error.path)
        rows = request.rows[request.borders[file] : request.borders[file + 1]]
        return error.of(f"{name_of(error.path, request.source)}: rows {rows.min()} to {rows.max()}")
