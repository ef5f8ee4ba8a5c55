"""Boxes of some arrays reach their slots, whether many of one array are copied together or each by itself."""

import numpy as np
import pytest

from h5lightning.storage.readers.box_writer import BoxWriter


@pytest.mark.parametrize("dtype", ["f4", "f8"], ids=["as-stored", "converted"])
@pytest.mark.parametrize("counts", [(40, 1, 0, 17), (2, 3), (300,)], ids=["many-and-few", "few", "many"])
def test_boxes_of_arrays(counts, dtype):
    rng = np.random.default_rng(len(counts))
    arrays = [rng.random((4, 30 + number), np.float32) for number in range(len(counts))]
    which = np.arange(len(counts)).repeat(counts)
    starts = np.stack([rng.integers(0, 2, len(which)), rng.integers(0, 20, len(which))], axis=1)
    slots, out = rng.permutation(len(which) + 3)[: len(which)], np.full((len(which) + 3, 3, 10), -1, dtype)
    BoxWriter(out, 2).put_boxes(iter(arrays), [0, *np.cumsum(counts).tolist()], starts, slots)
    for number, (row, column), slot in zip(which, starts, slots, strict=True):
        assert np.array_equal(out[slot], arrays[number][row : row + 3, column : column + 10])
    assert (np.delete(out, slots, axis=0) == -1).all()
