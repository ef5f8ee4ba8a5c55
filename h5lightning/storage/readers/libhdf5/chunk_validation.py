"""Chunks that HDF5 decodes: each is looked at once before, for what HDF5 does not look at.

Where the index of the chunks has no checksums, a damaged one makes HDF5 miss a chunk that is there, and return its fill
value. Of a chunk that decodes to less than it should, HDF5 delivers whatever its memory held before. And plug-ins trust
the sizes that stored bytes name: some of them crash on damaged ones, with all of the process. So each chunk is decoded
here first, by a decoder that checks, where there is one.
"""

from __future__ import annotations

import math
from itertools import product

import h5py
import numpy as np
from h5py import h5d, h5i, h5p

from h5lightning.errors import BadFileError
from h5lightning.storage.codecs import CodecError, Filter, NoCodecError, Pipeline
from h5lightning.storage.hdf5.element_sizes import stored_size
from h5lightning.storage.hdf5.filters import FLETCHER32, SHUFFLE
from h5lightning.storage.readers.checks import damaged_chunk

__all__ = ["ChunkValidator"]

_SAME_SIZE = frozenset([SHUFFLE, FLETCHER32])  # what they make is as long as what is stored, and known to be

# To find a chunk is to read it, here in 5 µs and 0.1 µs for each KiB; too much for a row of a vast chunk.
_MOST_UNFILTERED_BYTES = 1024 * 1024
_CHECKED_VERSION = 3  # of the superblock: from here on, all indexes have checksums


class ChunkValidator:
    """The chunks of one open dataset that HDF5 may be asked for; any number of threads.

    Args:
        where: the dataset and its file, for messages.
        did: the dataset, which is chunked.
        plist: how it was created.
        is_looked_up: whether each chunk must be found.
        pipeline: decodes a chunk; None where HDF5 does so safely, or where there is no other decoder.
    """

    def __init__(
        self,
        where: str,
        did: h5d.DatasetID,
        plist: h5p.PropDCID,
        *,
        is_looked_up: bool,
        pipeline: Pipeline | None,
    ) -> None:
        self._where = where
        self._did = did
        self._chunks = plist.get_chunk()
        self._chunk_bytes = math.prod(self._chunks) * stored_size(did.get_type())
        self._is_looked_up = is_looked_up
        self._pipeline = pipeline
        self._admitted = np.zeros(-(-did.shape[0] // self._chunks[0]), np.bool_)

    @classmethod
    def of(cls, where: str, dataset: h5py.Dataset, *, on_missing: str) -> ChunkValidator | None:
        """What looks at the chunks of a dataset; None if there is nothing that HDF5 does not see itself."""
        did, plist = dataset.id, dataset.id.get_create_plist()
        if plist.get_layout() != h5d.CHUNKED or not dataset.shape:
            return None
        filters = [Filter(*plist.get_filter(position)[::2]) for position in range(plist.get_nfilters())]
        chunk_bytes = math.prod(plist.get_chunk()) * stored_size(did.get_type())
        pipeline = _pipeline(filters, chunk_bytes)
        version = h5i.get_file_id(did).get_create_plist().get_version()[0]
        is_read_whole = bool(filters) or chunk_bytes <= _MOST_UNFILTERED_BYTES
        is_looked_up = on_missing == "raise" and version < _CHECKED_VERSION and is_read_whole
        if pipeline is None and not is_looked_up:
            return None
        return cls(where, did, plist, is_looked_up=is_looked_up, pipeline=pipeline)

    def admit(self, start: int, stop: int) -> None:
        """Look at the chunks of some rows, those that were not looked at before.

        Args:
            start: the first row.
            stop: one past the last row.

        Raises:
            BadFileError: a chunk is not found, or decodes wrongly.
        """
        height = self._chunks[0]
        first, last = start // height, -(-stop // height)
        for block in (first + np.flatnonzero(~self._admitted[first:last])).tolist():
            for place in self._places(block):
                self._look(place)
            self._admitted[block] = True

    def _places(self, block: int) -> list[tuple[int, ...]]:
        """Coordinates of the chunks that hold the same rows."""
        axes = [
            range(0, length, chunk)
            for length, chunk in zip(self._did.shape[1:], self._chunks[1:], strict=True)
        ]
        return [(block * self._chunks[0], *place) for place in product(*axes)]

    def _look(self, place: tuple[int, ...]) -> None:
        try:
            # Of all that can be asked for, this alone finds a chunk in the way in which HDF5 reads it.
            mask, stored = self._did.read_direct_chunk(place)
        except (OSError, RuntimeError) as error:
            if not self._is_looked_up:
                return
            raise BadFileError(
                f"{self._where}: the chunk at {place} is not found, and HDF5 would return its fill value. The index of "
                "the chunks is damaged: copy the file again"
            ) from error
        if self._pipeline is None:
            return
        try:
            self._pipeline.decode(
                np.frombuffer(stored, np.uint8), np.empty(self._chunk_bytes, np.uint8), mask
            )
        except CodecError as error:
            offset = self._did.get_chunk_info_by_coord(place).byte_offset
            names = self._pipeline.names
            raise damaged_chunk(self._where, place, len(stored), offset, names, error) from error


def _pipeline(filters: list[Filter], chunk_bytes: int) -> Pipeline | None:
    if _SAME_SIZE.issuperset(item.number for item in filters):
        return None
    try:
        return Pipeline(filters, chunk_bytes)
    except NoCodecError:
        return None
