"""What threads and processes read of parts of files; spawn imports it by name."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np

from h5lightning.storage.readers.protocol import DatasetColumn, Reader, ReadRequest
from h5lightning.storage.readers.series_parts import SeriesParts

FILES, PARTS, ROWS = 3, 8, 20
FIELDS = tuple(DatasetColumn(f"d/*/{name}", None, "<i8", (3,)) for name in ("x", "z", "c"))


def value_of(parts: Any, rows: Any) -> Any:
    """The value of all elements of some rows."""
    return np.asarray(parts) * 1000 + rows


def wrong_values(reader: Reader, every: SeriesParts, seed: int, reads: int) -> int:
    """Read random rows of random parts; how many buffers were wrong."""
    random, wrong = np.random.default_rng(seed), 0
    for _ in range(reads):
        chosen = np.unique(random.integers(0, FILES * PARTS, 12))
        rows = random.integers(0, ROWS, len(chosen))
        slots, borders = random.permutation(len(chosen)), np.arange(len(chosen) + 1)
        outs = [np.zeros((len(chosen), 3), np.int64) for _ in FIELDS]
        requests = [
            ReadRequest(field, borders, rows, slots, out) for field, out in zip(FIELDS, outs, strict=True)
        ]
        reader.read(every.of(chosen.tolist()), requests)
        wrong += sum(bool((out[slots] != value_of(chosen, rows)[:, None]).any()) for out in outs)
        if random.integers(8) == 0:
            reader.close()  # while others read
    return wrong


def read(reader: Reader, every: SeriesParts, results: Any) -> None:
    """Read in another process."""
    results.put(wrong_values(reader, every, os.getpid(), 20))
    reader.close()


def read_until_killed(reader: Reader, every: SeriesParts, results: Any) -> None:
    """Read, and end as if killed while a chunk is decoded."""
    pool = reader._direct._decoded.pool()  # type: ignore[attr-defined]
    run, calls = pool.run, []

    def killed(tasks: Any) -> None:
        calls.append(0)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        run(tasks)

    pool.run = killed
    results.put(0)
    wrong_values(reader, every, 1, 200)
