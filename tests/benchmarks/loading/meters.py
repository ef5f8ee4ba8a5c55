"""Measurements other than speed: waiting, memory, read amplification, and how well batches are mixed."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from h5lightning.storage.codecs import FilterPipeline
from h5lightning.tools.bench.timing import Timing
from loading import ours
from loading.data import BATCH, Dataset
from loading.measure import anonymous_bytes, read_bytes, run_epoch, waiting_share
from loading.races import Goal

__all__ = ["amplification", "decoded_sizes", "memory", "mixing", "waiting"]

CLASSES = 10


def waiting(dataset: Dataset, *, rounds: int, step_s: float = 0.005) -> Goal:
    """Share of the time that a loop waits for batches."""
    with ours.data_module(dataset) as dm:
        shares = [waiting_share(ours.batches(dm, epoch), step_s) for epoch in range(rounds)]
    what = (
        f"waiting, steps of {1000 * step_s:g} ms, batches of {BATCH * dataset.sample_bytes / 2**20:.2g} MiB"
    )
    return Goal(what, 0.02, Timing.of(shares), at_least=False)


def memory(dataset: Dataset, *, epochs: int = 10) -> Goal:
    """How far anonymous memory strays from its middle after the first epoch, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        held = pool.submit(_held_bytes, dataset, epochs).result()[1:]
    strays = (max(held) - min(held)) / (max(held) + min(held))
    size = sum(held) / len(held) / 2**20
    what = f"anonymous memory over {epochs} epochs of {dataset.workload.name}, ± of {size:.0f} MiB"
    return Goal(what, 0.03, Timing.of([strays]), at_least=False)


def _held_bytes(dataset: Dataset, epochs: int) -> list[int]:
    """Anonymous memory after each epoch."""
    held = []
    with ours.data_module(dataset) as dm:
        for epoch in range(epochs):
            run_epoch(ours.batches(dm, epoch))
            gc.collect()
            held.append(anonymous_bytes())
    return held


def amplification(dataset: Dataset, world_size: int, most: float) -> list[Goal]:
    """Decoded bytes of an epoch of all ranks for each that the rows have, and bytes read for each that is stored.

    Decoded bytes are counted at the decoder, and read bytes by the I/O counter of the process, which shows every read.

    Args:
        dataset: of filtered chunks that evenly divide its files.
        world_size: ranks, one after the other in this process.
        most: the largest ratio that is accepted.
    """
    counted = [_counts_of_rank(dataset, rank, world_size) for rank in range(world_size)]
    decoded, read = (sum(one) for one in zip(*counted, strict=True))
    rows = dataset.workload.rows * dataset.workload.row_bytes
    stored = sum(map(_stored_bytes, dataset.paths))
    ranks = "1 rank" if world_size == 1 else f"{world_size} ranks"
    return [
        Goal(
            f"bytes decoded ÷ bytes of the rows, {ranks}", most, Timing.of([decoded / rows]), at_least=False
        ),
        Goal(f"bytes read ÷ stored, {ranks}", most, Timing.of([read / stored]), at_least=False),
    ]


def _counts_of_rank(dataset: Dataset, rank: int, world_size: int) -> tuple[int, int]:
    """Bytes of data that are decoded, and all bytes that are read."""
    # A DataModule of its own: what one rank has decoded, another one has not.
    with ours.data_module(dataset) as dm, decoded_sizes() as decoded:
        before = read_bytes()
        run_epoch(ours.batches(dm, 0, rank, world_size))
        return sum(decoded), read_bytes() - before


@contextmanager
def decoded_sizes() -> Iterator[list[int]]:
    """The sizes of all chunks that this process decodes in the meantime."""
    decode, sizes = FilterPipeline.decode, []

    def counted(self: FilterPipeline, stored: Any, out: Any, *more: Any) -> None:
        decode(self, stored, out, *more)
        sizes.append(out.nbytes)  # atomic, for any number of threads

    FilterPipeline.decode = counted  # type: ignore[method-assign]
    try:
        yield sizes
    finally:
        FilterPipeline.decode = decode  # type: ignore[method-assign]


def _stored_bytes(path: str) -> int:
    with h5py.File(path, "r") as file:
        stored: int = file["data"].id.get_storage_size()
    return stored


# ── mixing ───────────────────────────────────────────────────────────────────────────────────────────


def mixing(dataset: Dataset) -> Goal:
    """Entropy of ten classes in a batch, that of a full shuffle being 1; the classes are sorted in the files."""
    rows = dataset.workload.rows
    order = np.random.default_rng(0).permutation(rows)
    shuffled = (order[start : start + BATCH] for start in range(0, rows, BATCH))
    with ours.data_module(dataset) as dm:
        reached = _mean_entropy((np.asarray(batch.labels) for batch in ours.batches(dm, 0)), rows)
    ratio = reached / _mean_entropy(shuffled, rows)
    return Goal("entropy of a batch's labels ÷ that of a full shuffle", 0.985, Timing.of([ratio]))


def _mean_entropy(labels: Iterable[npt.NDArray[np.int64]], rows: int) -> float:
    return float(np.mean([_entropy(batch * CLASSES // rows) for batch in labels]))


def _entropy(classes: npt.NDArray[np.int64]) -> float:
    """Bits of the distribution of classes, ``(N,)``."""
    counts = np.bincount(classes)
    shares = counts[counts > 0] / len(classes)
    return float(-(shares * np.log2(shares)).sum())
