"""Boxes of stored arrays: their runs, and how many calls of the system read them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.storage.files.coalescing import MAX_GAP_BYTES, MAX_RUN_BYTES
from h5lightning.storage.readers.direct.box_bytes import byte_strides, read_box, run_starts


class Recorder:
    """Bytes in memory, and which parts of them were read."""

    def __init__(self, data):
        self.data, self.reads = data, []

    def read(self, offset, size, scratch=None):
        assert 0 <= offset <= offset + size <= len(self.data)
        self.reads.append((offset, size))
        return self.data[offset : offset + size].copy()


def box_of(shape, start, sizes, dtype="<i4", lead=8):
    values = np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)
    file = Recorder(np.concatenate([np.zeros(lead, np.uint8), values.reshape(-1).view(np.uint8)]))
    out = np.empty(sizes, dtype)
    read_box(file, lead, shape, start, out, lambda: np.empty(16, np.uint8))
    expected = values[tuple(slice(a, a + n) for a, n in zip(start, sizes, strict=True))]
    assert np.array_equal(out, expected)
    runs = run_starts(shape, out.itemsize, start, sizes)
    first = np.ascontiguousarray(expected[..., :1]).ravel() if shape else expected.ravel()
    assert (runs // out.itemsize).tolist() == first.tolist()
    return file.reads


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_box_is_that_of_the_array(data):
    shape = data.draw(st.lists(st.integers(1, 7), max_size=4).map(tuple))
    sizes = tuple(data.draw(st.integers(1, length)) for length in shape)
    start = tuple(data.draw(st.integers(0, length - size)) for length, size in zip(shape, sizes, strict=True))
    assert len(box_of(shape, start, sizes)) == 1  # all of it lies close together


@pytest.mark.parametrize(
    ("shape", "start", "sizes", "reads"),
    [
        ((19, 20_000), (0, 500), (19, 200), 19),  # far apart
        ((19, 1_000), (0, 500), (19, 200), 1),  # gaps cost less than calls
        ((6, 40, 4_000), (1, 3, 5), (4, 30, 100), 4),  # near along one axis, far along another
        ((400, 4_000), (0, 0), (400, 4), 7),  # near, but too much for one call
        ((400, 4_000), (0, 0), (400, 4_000), 1),  # in one piece
    ],
)
def test_reads_are_few_and_small(shape, start, sizes, reads):
    found = box_of(shape, start, sizes)
    assert len(found) == reads
    needed = 4 * int(np.prod(sizes))
    assert max(size for _, size in found) <= max(MAX_RUN_BYTES + MAX_GAP_BYTES, needed)


def test_strides_are_those_of_numpy():
    assert byte_strides((3, 5, 2), 4) == np.empty((3, 5, 2), np.int32).strides
    assert byte_strides((), 4) == ()
