"""Choose the order of an epoch from the shuffle options and the layout of the files."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Float64Array, Int64Array
from h5lightning.options import Shuffle, Whole
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sampling.block_order import BlockOrder
from h5lightning.planning.sampling.blocks import Blocks, shuffle_blocks
from h5lightning.planning.sampling.bucket_order import BucketOrder, SampleSizes
from h5lightning.planning.sampling.orders import FullOrder, Order, PathOrder
from h5lightning.planning.sampling.tiled_order import TiledOrder
from h5lightning.planning.sampling.tiles import BoxChunks, Tiles
from h5lightning.planning.sampling.weighted_draw import StratifiedSampler
from h5lightning.planning.sampling.weighted_order import SlotBlocks, WeightedOrder
from h5lightning.planning.selection import Selection

__all__ = ["RowLayout", "block_samples", "keeps_blocks", "make_order"]

_MAX_BLOCKS = 1024  # in a window: more mix no better, but are read from more places
_MIN_BLOCKS = 64  # in a window: with fewer, labels that are sorted in the files are badly mixed
# Chunks in a block for each chunk of the next block that it needs too: under 5 % more.
_CHUNKS_FOR_CROSSED = 22
_MAX_PERIOD = 16  # most chunks in a block, to let it begin where both a chunk and a sample begin


@dataclass(frozen=True, slots=True, eq=False)
class RowLayout:
    """The layout of the field with the most bytes.

    Args:
        chunk_rows: rows that are decoded together, for each unit, ``(units,)``; 1 where a row can be read alone.
        row_bytes: decoded bytes of one row over all fields.
        boxes: the chunks of windows along several axes; None for samples along one axis, or where no chunk is decoded.
    """

    chunk_rows: Int64Array
    row_bytes: int
    boxes: BoxChunks | None = None


def make_order(
    shuffle: Shuffle,
    selection: Selection,
    index: SampleIndex,
    layout: RowLayout,
    *,
    seed: int,
    weights: Float64Array | None = None,
    sizes: SampleSizes | None = None,
) -> Order:
    """The order of one split's training samples.

    Args:
        shuffle: mode and window.
        selection: the samples of the split.
        index: all samples.
        layout: the rows that are decoded together.
        seed: the seed of the run.
        weights: draw with replacement by these weights of the split's samples, ``(N,)``, each finite and at least
            0; None for each sample once.
        sizes: what the samples are bucketed by; None if they are not.
    """
    size = len(selection)
    if shuffle.mode == "none" or not size:
        return PathOrder(size)
    order = _shuffled(shuffle, selection, index, layout, seed=seed, weights=weights)
    return order if sizes is None else BucketOrder(order, sizes, str(shuffle.bucket), seed)


def _shuffled(
    shuffle: Shuffle,
    selection: Selection,
    index: SampleIndex,
    layout: RowLayout,
    *,
    seed: int,
    weights: Float64Array | None,
) -> Order:
    """The order of samples that are not bucketed; see `make_order`."""
    size = len(selection)
    if layout.boxes is not None and keeps_blocks(shuffle, selection, index, layout):
        tiles = Tiles.of(selection, index, layout.boxes, shuffle.window_bytes)
        return _tiled(tiles, seed, weights)
    sampler = None if weights is None else StratifiedSampler.of(weights, seed)
    blocks, window = None, max(1, shuffle.window_bytes // max(1, layout.row_bytes * index.stride_rows))
    if keeps_blocks(shuffle, selection, index, layout):
        spanned = selection.spanned_length
        blocks = shuffle_blocks(
            selection, index, block_samples(layout.chunk_rows, index, min(window, spanned))
        )
        # The chunks of a window hold the samples that are left out, too.
        window = max(1, window * size // spanned)
    if sampler is not None:
        return _weighted_order(sampler, blocks, window, seed)
    return FullOrder(size, seed) if blocks is None else BlockOrder(blocks, window, seed)


def _tiled(tiles: Tiles, seed: int, weights: Float64Array | None) -> Order:
    """The order of windows along several axes; see `make_order`."""
    if weights is None:
        return TiledOrder(tiles, seed)
    size = tiles.blocks.size
    sampler = StratifiedSampler.of(weights[tiles.positions(np.arange(size))], seed)
    window = max(1, tiles.mixed * size // len(tiles.bases))
    return replace(_weighted_order(sampler, tiles.blocks, window, seed), tiles=tiles)


def keeps_blocks(shuffle: Shuffle, selection: Selection, index: SampleIndex, layout: RowLayout) -> bool:
    """Whether the order keeps the rows of a chunk together."""
    # Rows of a random subset lie in every chunk, and whole series share no chunk: there are no blocks to keep.
    has_blocks = selection.subset is None and not isinstance(index.samples, Whole)
    is_chunked = layout.boxes is not None or (layout.chunk_rows > 1).any()
    by_block = shuffle.mode == "block" or (shuffle.mode == "auto" and is_chunked)
    return bool(by_block and has_blocks)


def _weighted_order(
    sampler: StratifiedSampler, blocks: Blocks | None, window: int, seed: int
) -> WeightedOrder:
    if blocks is None:
        return WeightedOrder(FullOrder(sampler.size, seed), sampler)
    slot_blocks = SlotBlocks.of(blocks, sampler)
    return WeightedOrder(BlockOrder(slot_blocks.blocks, window, seed), sampler, slot_blocks)


def block_samples(chunk_rows: Int64Array, index: SampleIndex, mixed_samples: int) -> Int64Array:
    """The length of shuffle blocks: the samples of one chunk, or of several neighbouring chunks.

    Small chunks share a block. So do chunks that windows of rows cross, because the chunk at the border of two blocks
    is decoded for both.

    Args:
        chunk_rows: rows that are decoded together, for each unit, ``(units,)``.
        index: all samples.
        mixed_samples: samples that are mixed with each other.

    Returns:
        Samples of a block for each unit, ``(units,)``, at least 1.
    """
    stride = index.stride_rows
    chunk = np.maximum(chunk_rows, 1)
    crossed = -(-max(0, index.reach.span_rows - stride) // chunk)
    chunks = np.minimum(crossed * _CHUNKS_FOR_CROSSED, mixed_samples // _MIN_BLOCKS * stride // chunk)
    chunks = np.maximum(chunks, mixed_samples // _MAX_BLOCKS * stride // chunk).clip(1)
    period = stride // np.gcd(chunk, stride)
    chunks = np.where(period <= _MAX_PERIOD, -(-chunks // period) * period, chunks)
    samples: Int64Array = chunks * chunk // stride
    return samples.clip(1)
