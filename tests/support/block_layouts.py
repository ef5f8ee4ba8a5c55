"""Chunked files that do not exist, and what training on them in block order would cost and be worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.core.string_table import StringTable
from h5lightning.options import Rows, Samples, Shuffle
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.sampling import BlockOrder, RowLayout, make_order
from h5lightning.planning.sampling.training_shards import TrainingShards
from h5lightning.planning.selection import Selection

# Rows of each file, rows in a chunk, rows in a window; the default window holds 65,536 rows of 4 KiB.
LAYOUTS = {
    "many windows": ([4000] * 64, 32, 240 * 32),
    "two windows": ([4000] * 20, 32, 65_536),
    "one window": ([512] * 20, 32, 65_536),
    "large chunks": ([20_000] * 4, 1250, 30_000),
    "files of all lengths": (np.random.default_rng(0).integers(100, 3000, 100).tolist(), 50, 20_000),
}


def everything(rows: Sequence[int], samples: Samples | None = None) -> tuple[SampleIndex, Selection]:
    """Files of one series each, and all their samples."""
    count = len(rows)
    names = StringTable.of(f"{number}.h5" for number in range(count))
    index = SampleIndex("/data", names, np.arange(count), np.asarray(rows, dtype=np.int64), samples or Rows())
    return index, Selection(SampleRanges(np.array([0]), np.array([len(index)])))


def block_order(
    rows: Sequence[int], chunk_rows: int, window_rows: int, samples: Samples | None = None
) -> BlockOrder:
    """The block order of all samples of files with equal chunks."""
    index, selection = everything(rows, samples)
    layout = RowLayout(np.full(len(rows), chunk_rows), row_bytes=1)
    order = make_order(Shuffle("block", window_rows), selection, index, layout, seed=1)
    assert isinstance(order, BlockOrder)
    return order


def chunks_of(index: SampleIndex, ids: np.ndarray, chunk_rows: int) -> np.ndarray:
    """The chunk of the first row of each sample, numbered over all files, ``(N,)``."""
    most = int(index.series_rows.max()) // chunk_rows + 1
    where = index.locate(ids)
    return where.series * most + where.row // chunk_rows


def windows_of(order: BlockOrder, positions: np.ndarray) -> np.ndarray:
    """The window that each position of epoch 0 lies in, numbered over all lanes, ``(N,)``."""
    lane, offset = order._lane_windows.lanes.locate(positions)
    numbers, _, which = order._windows(0)._find(lane, offset)
    return numbers[which]


def decoded_ratio(
    rows: Sequence[int], chunk_rows: int, window_rows: int, world_size: int = 1, batch_size: int = 256
) -> float:
    """Rows of the chunks that ranks decode, each once for each window, by rows of the split."""
    index, selection = everything(rows)
    order = block_order(rows, chunk_rows, window_rows)
    shards = TrainingShards(order.size, batch_size, world_size)
    rows_in = np.bincount(chunks_of(index, np.arange(len(index)), chunk_rows))
    decoded = 0
    for rank in range(world_size):
        positions = shards.indices(rank, 0, shards.length(rank), order.lanes_of)
        chunks = chunks_of(index, selection(order.samples(0, positions)), chunk_rows)
        decoded += rows_in[np.unique(np.stack([chunks, windows_of(order, positions)]), axis=1)[0]].sum()
    return float(decoded / order.size)


def label_entropy(labels: np.ndarray, batch_size: int = 256) -> float:
    """Mean entropy of the labels of each batch, in bits."""
    batches = labels[: len(labels) // batch_size * batch_size].reshape(-1, batch_size)
    shares = np.stack([(batches == label).mean(axis=1) for label in np.unique(labels)])
    return float(-(shares * np.log2(np.maximum(shares, 1e-9))).sum(axis=0).mean())
