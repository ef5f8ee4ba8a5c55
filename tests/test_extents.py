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


SHUFFLED, SUMMED, DEFLATED, ZSTD = (2, (4,)), (3, ()), (1, (6,)), (32015, ())
SIZES = {
    "deflate, smallest": ((DEFLATED,), 100_000, 96, ""),
    "deflate, too small": (
        (DEFLATED,),
        100_000,
        95,
        "a chunk of 100000 bytes is stored in 95, expected 96 to",
    ),
    "deflate and checksum": ((DEFLATED, SUMMED), 100_000, 99, "expected 100 to"),
    "twice deflate": ((DEFLATED, DEFLATED), 100_000, 20, ""),
    "zstd": ((ZSTD,), 100_000, 20, ""),
    "zstd, too large": ((ZSTD,), 100_000, 200_000, "expected 1 to 116596 after its filters"),
    "checksum": ((SHUFFLED, SUMMED), 100, 104, ""),
    "checksum left out at an edge": ((SUMMED,), 100, 100, ""),
    "checksum of no data": ((SUMMED,), 100, 3, "a chunk has 3 bytes, expected 104"),
    "shuffle alone": ((SHUFFLED,), 100, 90, "a chunk has 90 bytes, expected 100"),
}


@pytest.mark.parametrize(("filters", "chunk_bytes", "size", "damage"), SIZES.values(), ids=SIZES)
def test_sizes_that_filters_cannot_make(filters, chunk_bytes, size, damage):
    sizes = [size, chunk_bytes + (4 if SUMMED in filters else 0)]
    extents = extents_of([0, 500_000], sizes, chunk_bytes=chunk_bytes, filters=filters)
    found = find_damage(extents, chunk_bytes, file_bytes=10**6)
    assert damage in found
    assert bool(found) == bool(damage)


def test_sizes_of_chunks_that_were_not_filtered():
    extents = extents_of([0, 500], [100, 104], masks=[1, 0], chunk_bytes=100, filters=(SUMMED,))
    assert find_damage(extents, 100, file_bytes=1000) == ""
