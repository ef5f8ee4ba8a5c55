"""Extents of one dataset: what is left out, and what makes no sense."""

import numpy as np
import pytest

from h5lightning.extents import Extents, find_damage

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


DAMAGE = {
    "whole": (extents_of([90, 0, 40]), ""),
    "one": (extents_of([90]), ""),
    "adjacent": (extents_of([10, 0, 20]), ""),
    "one-past-the-end": (extents_of([91]), "past the end of the file, at byte 100"),
    "one-before-the-start": (extents_of([-1]), "past the end"),
    "past-the-end": (extents_of([0, 95]), "past the end of the file, at byte 100"),
    "before-the-start": (extents_of([-20, 50]), "past the end"),
    "no-bytes": (extents_of([0, 50], [10, 0], filters=FILTERS), "past the end"),
    "overlap": (extents_of([0, 9]), "two of its chunks overlap"),
    "twice": (extents_of([20, 20]), "two of its chunks overlap"),
    "other-size": (extents_of([0, 50], [10, 7]), "a chunk has 7 bytes, expected 10"),
    "filtered": (extents_of([0, 50], [10, 7], filters=FILTERS), ""),
}


@pytest.mark.parametrize(("extents", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_damage(extents, damage):
    found = find_damage(extents, chunk_bytes=10, file_bytes=100)
    assert damage in found
    assert bool(found) == bool(damage)
