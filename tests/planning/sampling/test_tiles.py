"""Tiles: each sample of a split in one tile, and few chunks for the samples that come together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.core.string_table import StringTable
from h5lightning.options import Shuffle, Windows
from h5lightning.planning.grid import Grid
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sampling.make_order import RowLayout, make_order
from h5lightning.planning.sampling.tiled_order import TiledOrder
from h5lightning.planning.sampling.tiles import BoxChunks, Tiles, tile_sizes
from h5lightning.planning.sampling.weighted_order import WeightedOrder
from h5lightning.planning.splitting.split_plan import Segments

MIB = 1024 * 1024


def index_of(shapes, samples):
    """The samples of volumes of some shapes, one in each file."""
    shapes = np.asarray(shapes)
    names = StringTable.of([f"{number}.h5" for number in range(len(shapes))])
    grid = Grid.of(samples, shapes[:, 1:])
    return SampleIndex("/", names, np.arange(len(shapes)), shapes[:, 0], samples, grid=grid)


def decodes(index, order, chunks, cache, epoch=0, draw=None):
    """How many chunks an epoch decodes with a cache of so many of them, the least recently used one given up first."""
    kept, count = {}, 0
    samples = index.samples
    ids = order.samples(epoch, np.arange(len(index)))
    where = index.locate(ids)
    starts = index.starts(where)
    if draw is not None:
        last = np.asarray([[*([index.series_rows[s]]), *index.grid.lengths[s]] for s in where.series])
        starts = np.minimum(
            starts + draw.integers(0, samples.strides, starts.shape), last - np.asarray(samples.lengths)
        )
    first, stop = starts // chunks, -(-(starts + np.asarray(samples.lengths)) // chunks)
    for series, low, high in zip(where.series.tolist(), first.tolist(), stop.tolist(), strict=True):
        for chunk in np.ndindex(*(b - a for a, b in zip(low, high, strict=True))):
            key = (series, *(a + b for a, b in zip(low, chunk, strict=True)))
            if key not in kept:
                count += 1
                if len(kept) >= cache:
                    del kept[next(iter(kept))]
            kept[key] = kept.pop(key, None)
    return count


@st.composite
def cases(draw):
    axes = draw(st.integers(2, 3))
    small = st.integers(1, 6)
    samples = Windows(
        draw(st.tuples(*[small] * axes)),
        draw(st.tuples(*[small] * axes)),
        axis=tuple(range(axes)),
        pad=draw(st.sampled_from([None, "edge"])),
        jitter=draw(st.booleans()),
    )
    shapes = draw(st.lists(st.tuples(*[st.integers(1, 14)] * axes), min_size=1, max_size=4))
    chunks = draw(st.tuples(*[small] * axes))
    return samples, shapes, chunks, draw(st.integers(1, 500))


@settings(max_examples=150)
@given(cases(), st.data())
def test_each_sample_of_a_split_comes_once(case, data):
    samples, shapes, chunks, window = case
    index = index_of(shapes, samples)
    rows = index.series_rows
    cuts = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in rows.tolist()]
    part = Segments(np.arange(len(rows)), *np.asarray(cuts).T)
    selection = part.selection(index)
    if not len(selection):
        return
    every = BoxChunks(np.asarray([chunks] * len(rows)), np.ones(len(rows), np.int64))
    layout = RowLayout(np.ones(len(rows), np.int64), 1, every)
    for weights in (None, np.ones(len(selection))):
        shuffle = Shuffle("block", window_bytes=window)
        order = make_order(shuffle, selection, index, layout, seed=3, weights=weights)
        assert isinstance(order, TiledOrder if weights is None else WeightedOrder)
        found = order.samples(1, np.arange(order.size))
        assert np.sort(found).tolist() == list(range(len(selection)))


@settings(max_examples=60)
@given(cases())
def test_the_samples_of_a_tile_are_neighbours(case):
    samples, shapes, chunks, window = case
    index = index_of(shapes, samples)
    if not len(index):
        return
    selection = Segments.of_series(index, np.arange(len(shapes))).selection(index)
    tiles = Tiles.of(
        selection, index, BoxChunks(np.asarray([chunks] * len(shapes)), np.ones(len(shapes), int)), window
    )
    ids = selection(tiles.positions(np.arange(len(selection))))
    for start, stop, size in zip(tiles.starts[:-1], tiles.starts[1:], tiles.sizes, strict=True):
        where = index.locate(ids[start:stop])
        starts = index.starts(where) // np.asarray(samples.strides)
        assert len(set(where.series.tolist())) == 1
        assert (np.ptp(index.starts(where), axis=0) <= (size - 1) * np.asarray(samples.strides)).all()
        assert len(np.unique(starts, axis=0)) == stop - start == size.prod()


@pytest.mark.parametrize(
    ("stride", "jitter", "cache", "most"),
    [(32, False, 1536, 1.5), (64, True, 300, 2.5), (64, False, 8, 1.0)],
    ids=["half overlap", "jitter", "no overlap"],
)
def test_crops_of_chunks_decode_few_of_them(stride, jitter, cache, most):
    """A volume of 1024 x 1024 x 1024 in chunks of 64 x 64 x 64, larger than the cache."""
    samples = Windows((64, 64, 64), stride=stride, axis=(0, 1, 2), jitter=jitter)
    index = index_of([(1024, 1024, 1024)], samples)
    selection = Segments.of_series(index, np.arange(1)).selection(index)
    layout = RowLayout(np.ones(1, int), 1, BoxChunks(np.full((1, 3), 64), np.asarray([MIB])))
    order = make_order(Shuffle("auto", window_bytes=cache * MIB * 2 // 3), selection, index, layout, seed=0)
    draw = np.random.default_rng(0) if jitter else None
    count = decodes(index, order, 64, cache, draw=draw)
    assert count <= most * (len(index) if jitter else 16**3)


def test_tiles_take_whole_axes_where_they_are_short():
    sizes = tile_sizes((64, 64, 64), (64, 64, 64), (64, 64, 64), (100, 2, 2), 64)
    assert sizes == (1, 1, 1)  # windows that share no chunk need no larger tiles
    sizes = tile_sizes((64, 64, 64), (32, 32, 32), (64, 64, 64), (199, 3, 3), 64)
    assert sizes[1:] == (3, 3)


def test_windows_larger_than_the_cache_still_have_tiles():
    assert tile_sizes((64, 64), (1, 1), (8, 8), (500, 500), 3) == (8, 8)
