"""Batches of an epoch, read several at a time where they are small.

What is done once for a read (ids → files → rows, the hand-over between two threads) takes as long as the gather of a
thousand short rows. Neighbouring batches are therefore read in one go and dealt out, each with memory of its own.
How many go together is measured on the way: it depends on the storage and on the user's transforms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.dataset import SampleDataset

__all__ = ["GroupReader"]

Int64Array = npt.NDArray[np.int64]

_MOST_BATCHES = 32
_MOST_BYTES = (
    1024 * 1024
)  # of a group: what is read together and dealt out should stay in the processor's cache
_ENOUGH_S = 0.005  # larger groups gain nothing, and their first batch waits for their last


class GroupReader:
    """Reads batches in groups that take about a millisecond.

    Args:
        dataset: the samples.
        batch_size: samples in a batch.
        deliver: what a batch is turned into.
        alone: one batch in each group, however small.
    """

    def __init__(
        self, dataset: SampleDataset, batch_size: int, deliver: Callable[[Any], Any], *, alone: bool = False
    ) -> None:
        self._dataset = dataset
        self._batch_size = batch_size
        self._deliver = deliver
        batch_bytes = max(1, batch_size * dataset.sample_bytes)
        self._most = 1 if alone else min(_MOST_BATCHES, max(1, _MOST_BYTES // batch_bytes))
        self._batches = 1

    def groups(self, stretches: Iterable[Int64Array]) -> Iterator[list[Any]]:
        """Groups of batches in order, none empty.

        Args:
            stretches: positions of samples, ``(N,)`` each; all lengths but the last are multiples of the batch size.

        Raises:
            H5LightningError: a batch cannot be read; those before it were delivered.
        """
        for stretch in stretches:
            start = 0
            while start < len(stretch):
                stop = start + self._batches * self._batch_size
                yield from self._group(stretch[start:stop])
                start = stop

    def _group(self, positions: Int64Array) -> Iterator[list[Any]]:
        began = time.perf_counter()
        group = []
        try:
            for batch in self._dataset.read_batches(positions, self._batch_size):
                group.append(self._deliver(batch))  # noqa: PERF401 - what was made before an error is delivered
        except Exception:
            if group:
                yield group
            raise
        took_s = time.perf_counter() - began
        self._batches = min(self._most, 2 * len(group)) if took_s < _ENOUGH_S / 2 else self._batches
        if took_s > _ENOUGH_S:
            self._batches = max(1, len(group) // 2)
        yield group
