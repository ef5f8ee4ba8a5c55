"""Validates chunks before HDF5 decodes them, each once, for damage that HDF5 does not notice.

If the chunk index has no checksums, damage in it makes HDF5 miss a chunk that exists and return its fill value. If a
chunk decodes to fewer bytes than it should, HDF5 delivers whatever its memory held before. And plug-ins trust the sizes
in the stored bytes: on damaged ones, some of them crash the process. So each chunk is first decoded by a decoder that
checks, where one exists.
"""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import product

import h5py
import numpy as np
from h5py import h5d, h5i, h5p

from h5lightning.errors import BadFileError
from h5lightning.storage.codecs import CodecError, FilterPipeline, NoCodecError
from h5lightning.storage.hdf5.filters import FLETCHER32, SHUFFLE
from h5lightning.storage.hdf5.stored_sizes import stored_size
from h5lightning.storage.readers.checks import damaged_chunk

__all__ = ["ChunkValidator"]

_SAME_SIZE = frozenset([SHUFFLE, FLETCHER32])  # filters whose output size is known from the stored size

# Finding a chunk means reading it, in 5 µs and 0.1 µs for each KiB: too much for one row of a huge chunk.
_MOST_UNFILTERED_BYTES = 1024 * 1024
_CHECKED_VERSION = 3  # of the superblock: from this one on, all indexes have checksums


class ChunkValidator:
    """Validates the chunks of one open dataset; any number of threads may use it.

    Args:
        where: the dataset and its file, for errors.
        did: the dataset, which is chunked.
        plist: how it was created.
        is_looked_up: whether a chunk that is not found is an error.
        pipeline: decodes a chunk; None where HDF5 decodes safely, or no other decoder exists.
        leading: axes along which rows are validated, chunk by chunk.
    """

    def __init__(
        self,
        where: str,
        did: h5d.DatasetID,
        plist: h5p.PropDCID,
        *,
        is_looked_up: bool,
        pipeline: FilterPipeline | None,
        leading: int = 1,
    ) -> None:
        self._where = where
        self._did = did
        self._chunks = plist.get_chunk()
        self._chunk_bytes = _chunk_bytes(did, plist)
        self._is_looked_up = is_looked_up
        self._pipeline = pipeline
        axes = zip(did.shape[:leading], self._chunks[:leading], strict=True)
        self._is_valid = np.zeros([-(-length // chunk) for length, chunk in axes], np.bool_)

    @classmethod
    def of(
        cls, where: str, dataset: h5py.Dataset, *, on_missing: str, leading: int = 1
    ) -> ChunkValidator | None:
        """The validator of a dataset; None if HDF5 itself notices all damage."""
        did, plist = dataset.id, dataset.id.get_create_plist()
        if plist.get_layout() != h5d.CHUNKED or not dataset.shape:
            return None
        filters = [plist.get_filter(position)[::2] for position in range(plist.get_nfilters())]
        chunk_bytes = _chunk_bytes(did, plist)
        pipeline = None
        if not _SAME_SIZE.issuperset(number for number, _ in filters):
            with suppress(NoCodecError):
                pipeline = FilterPipeline(filters, chunk_bytes)
        version = h5i.get_file_id(did).get_create_plist().get_version()[0]
        is_read_whole = bool(filters) or chunk_bytes <= _MOST_UNFILTERED_BYTES
        is_looked_up = on_missing == "raise" and version < _CHECKED_VERSION and is_read_whole
        if pipeline is None and not is_looked_up:
            return None
        return cls(where, did, plist, is_looked_up=is_looked_up, pipeline=pipeline, leading=leading)

    def validate(self, start: int, stop: int) -> None:
        """Validate the chunks of some rows that were not validated before.

        Args:
            start: the first row.
            stop: one past the last row.

        Raises:
            BadFileError: a chunk is not found, or does not decode.
        """
        height = self._chunks[0]
        if not self._is_valid[start // height : -(-stop // height)].all():
            self.validate_box((start,), (stop - start,))

    def validate_box(self, first: tuple[int, ...], size: tuple[int, ...]) -> None:
        """As `validate`, for a box along the leading axes.

        Args:
            first: where it begins along each of them.
            size: how long it is.
        """
        chunks = [
            slice(start // chunk, -(-(start + length) // chunk))
            for start, length, chunk in zip(first, size, self._chunks, strict=False)
        ]
        box = self._is_valid[tuple(chunks)]
        if box.all():
            return
        begins = [part.start for part in chunks]
        for within in np.argwhere(~box).tolist():
            numbers = [begin + step for begin, step in zip(begins, within, strict=True)]
            for origin in self._origins(numbers):
                self._validate(origin)
            self._is_valid[tuple(numbers)] = True

    def _origins(self, numbers: list[int]) -> list[tuple[int, ...]]:
        """Coordinates of the chunks that have these numbers along the leading axes."""
        leading = len(numbers)
        first = [number * chunk for number, chunk in zip(numbers, self._chunks, strict=False)]
        axes = [
            range(0, length, chunk)
            for length, chunk in zip(self._did.shape[leading:], self._chunks[leading:], strict=True)
        ]
        return [(*first, *origin) for origin in product(*axes)]

    def _read(self, origin: tuple[int, ...]) -> tuple[int, bytes]:
        """The filters that a chunk skipped, and its stored bytes."""
        try:
            # Only this call finds a chunk in the way in which HDF5 reads it.
            mask, stored = self._did.read_direct_chunk(origin)
        except MemoryError:
            # If no chunk of a dataset was ever written, HDF5 2.0 gives any number as the size of a chunk.
            if self._did.get_chunk_info_by_coord(origin).byte_offset is None:
                raise RuntimeError("chunk storage is not allocated") from None
            raise
        return mask, stored

    def _validate(self, origin: tuple[int, ...]) -> None:
        try:
            mask, stored = self._read(origin)
        except (OSError, RuntimeError) as error:
            if not self._is_looked_up:
                return
            raise BadFileError(
                f"{self._where}: the chunk at {origin} is not found, and HDF5 would return its fill value. The "
                "index of the chunks is damaged: copy the file again"
            ) from error
        if self._pipeline is None:
            return
        try:
            self._pipeline.decode(
                np.frombuffer(stored, np.uint8), np.empty(self._chunk_bytes, np.uint8), mask
            )
        except CodecError as error:
            offset = self._did.get_chunk_info_by_coord(origin).byte_offset
            names = self._pipeline.names
            raise damaged_chunk(self._where, origin, len(stored), offset, names, error) from error


def _chunk_bytes(did: h5d.DatasetID, plist: h5p.PropDCID) -> int:
    chunks: tuple[int, ...] = plist.get_chunk()
    return math.prod(chunks) * stored_size(did.get_type())
