"""What processes do with a direct reader that they were given; spawn and forkserver import it by name."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.protocol import DatasetColumn

ROWS = np.array([99, 5, 50])


def values_of(reader: DirectReader, paths: list[str]) -> list[int]:
    """The first value of three rows of each file, of plain and of compressed data."""
    out = np.empty((3, 3), dtype=np.int64)
    values: list[int] = []
    for name in ("x", "z"):
        for path in paths:
            reader.read_rows(path, DatasetColumn(name, None, "<i8", (3,)), ROWS, out)
            values += out[:, 0].tolist()
    return values


def read(reader: DirectReader, paths: list[str], results: Any) -> None:
    """Read in another process."""
    results.put(values_of(reader, paths))
    reader.close()


def count_maps(reader: DirectReader, paths: list[str], results: Any) -> None:
    """Count the files that are mapped before the first use of a reader and after it is closed."""

    def mapped() -> int:
        with open("/proc/self/maps", encoding="utf-8") as file:
            maps = file.read()
        return sum(path in maps for path in paths)

    before = mapped()
    values_of(reader, paths)
    reader.close()
    results.put((before, mapped()))


def count_descriptors(reader: DirectReader, paths: list[str], results: Any) -> None:
    """Count the open descriptors before the first use of a reader and after it is closed."""
    before = len(os.listdir("/dev/fd"))
    values_of(reader, paths)
    reader.close()
    results.put((before, len(os.listdir("/dev/fd"))))
