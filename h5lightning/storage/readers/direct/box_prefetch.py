"""Asks the system to fetch the bytes of boxes: whole chunks where they are filtered, else the runs of each box."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.readers.box_pieces import BoxPieces, pieces_of
from h5lightning.storage.readers.direct.box_bytes import run_starts
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.direct.known_source import KnownSource

__all__ = ["prefetch_boxes"]


def prefetch_boxes(
    known: KnownSource, starts: Int64Array, sizes: tuple[int, ...], *, only_remote: bool, is_probe: bool
) -> bool:
    """Ask for the bytes of some boxes of one file; see `Reader.prefetch_boxes`.

    Args:
        known: the dataset.
        starts: the first element of each box; those that lie outside of the dataset are left out, ``(N, ndim)``.
        sizes: elements of a box along each axis.
        only_remote: see `Reader.prefetch`.
        is_probe: see `Reader.prefetch`.
    """
    grid = known.chunk_map.grid
    if grid is None or known.is_empty or 0 in sizes or len(grid.shape) != len(sizes):
        return False
    room = np.asarray(grid.shape, np.int64) - np.asarray(sizes, np.int64)
    starts = starts[((starts >= 0) & (starts <= room)).all(axis=1)]
    starts = starts[:1] if is_probe else starts
    if not len(starts):
        return False
    counts = np.broadcast_to(np.asarray(grid.counts, np.int64), starts.shape)
    pieces = pieces_of(starts, sizes, counts, grid.chunks)
    if known.filtered is not None:
        return known.prefetch(np.unique(pieces.chunks), only_remote=only_remote, is_probe=is_probe)
    if only_remote and known.raw.may_be_mapped:
        return False
    return known.fetch(*_byte_ranges(known.chunk_map, grid.chunks, pieces), is_probe=is_probe)


def _byte_ranges(
    chunk_map: ChunkMap, chunks: tuple[int, ...], pieces: BoxPieces
) -> tuple[Int64Array, Int64Array]:
    """First byte and size of each run of some pieces, ``(runs,)`` each."""
    itemsize = chunk_map.itemsize
    columns = chunk_map.offsets[pieces.chunks].tolist(), pieces.inside.tolist(), pieces.sizes.tolist()
    runs = [
        (run_starts(chunks, itemsize, inside, sizes) + offset, (sizes[-1] if sizes else 1) * itemsize)
        for offset, inside, sizes in zip(*columns, strict=True)
    ]
    starts = np.concatenate([start for start, _ in runs])
    return starts, np.asarray([size for _, size in runs]).repeat([len(start) for start, _ in runs])
