"""Extents of one dataset: what is left out."""

import numpy as np
import pytest

from h5lightning.planning.catalog.extents import Extents

FILTERS = ((2, (4,)), (1, (6,)))


def extents_of(offsets, sizes=None, masks=None, chunk_bytes=10, filters=()):
    offsets = np.asarray(offsets, dtype=np.int64)
    sizes = np.full(len(offsets), chunk_bytes) if sizes is None else np.asarray(sizes)
    masks = np.zeros(len(offsets), dtype=np.int64) if masks is None else np.asarray(masks)
    return Extents.of(offsets, sizes, masks, chunk_bytes, filters)


@pytest.mark.parametrize(
    ("sizes", "masks", "kept"),
    [(None, None, 1), ([10, 4], None, 2), ([10, 4], [0, 1], 3), ([10, 10], [0, 1], 3)],
    ids=["alike", "sizes", "masks", "masks-alone"],
)
def test_what_goes_without_saying_is_left_out(sizes, masks, kept):
    found = extents_of([40, 20], sizes, masks, filters=FILTERS)
    assert found.numbers.shape == (kept, 2)
    assert found.offsets.tolist() == [40, 20]
    assert found.sizes(10).tolist() == (sizes or [10, 10])
    assert found.masks.tolist() == (masks or [0, 0])


def test_equal_by_value():
    assert extents_of([1, 20]) == extents_of([1, 20])
    assert extents_of([1, 20]) != extents_of([1, 21])
    assert extents_of([1, 20]) != extents_of([1, 20], filters=FILTERS)
    assert Extents.unreadable("is compact") != Extents.unreadable("holds bit fields")
