"""What block order costs and is worth, without any files: ``python tests/benchmarks/order.py``.

Decoded bytes by stored bytes over all ranks, entropy of labels that are sorted in the files, and the time that
positions take. All but the last are the same on every machine.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from block_layouts import LAYOUTS, block_order, decoded_ratio, label_entropy

from h5lightning.planning.sampling import BlockOrder, Blocks, FullOrder, Order

RANKS = (1, 2, 3, 4, 5, 7, 8, 16)


def decoded(layout: str) -> dict[int, float]:
    """Decoded by stored bytes for numbers of ranks, batches of 256."""
    rows, chunk_rows, window_rows = LAYOUTS[layout]
    return {ranks: decoded_ratio(rows, chunk_rows, window_rows, ranks) for ranks in RANKS}


def mixing(layout: str, labels: int = 10) -> float:
    """Entropy of the labels in a batch as a share of a full shuffle's; each file holds all labels, sorted."""
    rows, chunk_rows, window_rows = LAYOUTS[layout]
    order = block_order(rows, chunk_rows, window_rows)
    label = np.concatenate([np.arange(count) * labels // count for count in rows])
    found = [label_entropy(label[o.samples(0, np.arange(o.size))]) for o in (order, FullOrder(order.size, 1))]
    return found[0] / found[1]


def microseconds(order: Order, ranges: int = 30) -> float:
    """Median time for a sample, in the ranges that the sampler requests."""
    taken = []
    for number in range(ranges):
        positions = np.arange(number * 16_384, (number + 1) * 16_384)
        started = time.perf_counter()
        order.samples(0, positions)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) / 16_384 * 1e6


def billion(window_samples: int) -> BlockOrder:
    """10⁹ samples in 10⁴ files, in blocks of 32 and one of 7 at the end of each file."""
    counts, lengths = np.tile([3125, 1], 10_000), np.tile([32, 7], 10_000)
    ends = np.cumsum(counts * lengths)
    return BlockOrder(Blocks.of(ends - counts * lengths, counts, lengths), window_samples, seed=1)


def main() -> None:
    """Print a table."""
    lines = ["decoded / stored, by ranks " + "".join(f"{ranks:7}" for ranks in RANKS) + "   label entropy"]
    for layout in LAYOUTS:
        ratios = "".join(f"{ratio:7.3f}" for ratio in decoded(layout).values())
        lines.append(f"{layout:27}{ratios}{mixing(layout):16.4f}")
    lines += [
        f"µs for a sample, 10⁹ samples, window of {window} rows: {microseconds(billion(window)):.2f}"
        for window in (65_536, 7680)
    ]
    lines.append(f"µs for a sample, 10⁹ samples, full order: {microseconds(FullOrder(10**9, 1)):.2f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
