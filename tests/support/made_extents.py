"""Extents of a few chunks, by what differs from chunks of ten bytes."""

import numpy as np

from h5lightning.planning.catalog.extents import Extents

FILTERS = ((2, (4,)), (1, (6,)))


def extents_of(offsets, sizes=None, masks=None, chunk_bytes=10, filters=()):
    offsets = np.asarray(offsets, dtype=np.int64)
    sizes = np.full(len(offsets), chunk_bytes) if sizes is None else np.asarray(sizes)
    masks = np.zeros(len(offsets), dtype=np.int64) if masks is None else np.asarray(masks)
    return Extents.of(offsets, sizes, masks, chunk_bytes, filters)
