"""What processes do with a pool that they were given; spawn and forkserver import it by name."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.libhdf5.reader import H5pyReader
from h5lightning.storage.readers.protocol import DatasetColumn


def read_all(pool: HandlePool, paths: list[str], results: Any) -> None:
    """Read the first value of ``x`` of each file through a pool, and tell how many files that opened."""
    values = []
    for path in paths * 3:
        with pool.dataset(path, "x") as dataset:
            values.append(int(dataset[0, 0]))
    results.put((values, pool.opened, len(pool)))
    pool.close()


def read_rows(reader: H5pyReader, paths: list[str], results: Any) -> None:
    """Read row 1 of ``x`` of each file through a reader."""
    out = np.empty((len(paths), 3), dtype=np.int64)
    for slot, path in enumerate(paths):
        reader.read_rows(path, DatasetColumn("x", None, "<i8", (3,)), np.array([1]), out, np.array([slot]))
    results.put(out.tolist())
    reader._pool.close()


def count_descriptors(pool: HandlePool, results: Any) -> None:
    """Count the open descriptors before and after the first use of a pool."""
    before = len(os.listdir("/dev/fd"))
    assert len(pool) == 0
    results.put((before, len(os.listdir("/dev/fd"))))
