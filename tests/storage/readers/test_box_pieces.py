"""Boxes are divided into pieces that cover them, each in one chunk."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.storage.readers.box_pieces import ChunkGrid, pieces_of, whole_pieces


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_pieces_cover_their_boxes(data):
    draw = data.draw
    shape = draw(st.lists(st.integers(1, 9), max_size=4).map(tuple))
    grid = ChunkGrid(shape, tuple(draw(st.integers(1, length + 1)) for length in shape))
    sizes = tuple(draw(st.integers(1, length)) for length in shape)
    drawn = [
        [draw(st.integers(0, length - size)) for length, size in zip(shape, sizes, strict=True)]
        for _ in range(draw(st.integers(0, 4)))
    ]
    starts = np.asarray(drawn, np.int64).reshape(len(drawn), len(shape))
    values = np.arange(int(np.prod(shape))).reshape(shape)
    boxes = np.full((len(starts), *sizes), -1)
    counts = np.broadcast_to(np.asarray(grid.counts, np.int64), starts.shape)
    pieces = pieces_of(starts, sizes, counts, grid.chunks)
    assert np.all(np.diff(pieces.boxes) >= 0)
    for box, number, inside, into, size in zip(*(column.tolist() for column in pieces), strict=True):
        assert 0 <= number < grid.count
        origin = grid.origin(number)
        stops = [a + n for a, n in zip(inside, size, strict=True)]
        assert all(n > 0 and stop <= chunk for n, stop, chunk in zip(size, stops, grid.chunks, strict=True))
        stored = values[tuple(slice(o + a, o + b) for o, a, b in zip(origin, inside, stops, strict=True))]
        part = boxes[(box, *(slice(a, a + n) for a, n in zip(into, size, strict=True)), ...)]
        assert (part == -1).all()  # no element twice
        part[...] = stored
    for box, start in zip(boxes, starts.tolist(), strict=True):
        inside = tuple(slice(a, a + n) for a, n in zip(start, sizes, strict=True))
        assert np.array_equal(box, values[inside])


def test_whole_boxes_are_their_own_pieces():
    pieces = whole_pieces(np.array([[1, 2], [3, 4]]), (5, 6))
    assert pieces.inside.tolist() == [[1, 2], [3, 4]]
    assert pieces.sizes.tolist() == [[5, 6], [5, 6]]
    assert not pieces.chunks.any()
    assert not pieces.into.any()


def test_a_dataset_without_elements_has_no_chunks():
    grid = ChunkGrid((4, 0), (4, 0))
    assert (grid.counts, grid.count) == ((0, 0), 0)
