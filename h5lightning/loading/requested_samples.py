"""How many samples of a dataset were requested, over all worker processes: the progress of plain torch code.

A plain DataLoader does not pass the epoch to its dataset. Transforms must draw different numbers in each pass anyway,
and workers live for one pass or for the whole program. So the count is kept in memory that forked workers share, and
that torch shares with workers which get the dataset as a pickle.
"""

from __future__ import annotations

import mmap
from typing import Any

import torch
from torch.utils.data import get_worker_info

__all__ = ["RequestedSamples"]

_SLOTS = 64  # one for each worker; with more workers, they share slots
_EPOCH = 0  # the epoch that was set, counted from 1; 0 if none was set
_MAIN = 1
_FIRST_WORKER = 2


class RequestedSamples:
    """Counts samples, and keeps the epoch that was set; running workers see both."""

    def __init__(self) -> None:
        self._cells = _shared_cells()

    def __getstate__(self) -> dict[str, Any]:
        return {"_cells": self._cells}

    def __setstate__(self, state: dict[str, Any]) -> None:
        cells: torch.Tensor = state["_cells"]
        if not cells.is_shared():  # type: ignore[no-untyped-call]  # torch leaves it without annotations
            # A copy has its own count, and must be ready to be forked.
            values, cells = cells, _shared_cells()
            cells.copy_(values)
        self._cells = cells

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; from now on, the count does not matter."""
        self._cells[_EPOCH].fill_(epoch + 1)

    def epoch(self, size: int) -> int:
        """The epoch of the next requested sample; ``size`` is the number of samples of an epoch."""
        given = int(self._cells[_EPOCH])
        return given - 1 if given else int(self._cells[_MAIN:].sum()) // max(1, size)

    def add(self, samples: int, size: int) -> int:
        """Count requested samples, and return their epoch; see `epoch`."""
        epoch = self.epoch(size)
        worker = get_worker_info()
        slot = _MAIN if worker is None else _FIRST_WORKER + worker.id % _SLOTS
        self._cells[slot].add_(samples)
        return epoch


def _shared_cells() -> torch.Tensor:
    # Not in /dev/shm, which is small in containers.
    memory = mmap.mmap(-1, 8 * (_FIRST_WORKER + _SLOTS))
    return torch.frombuffer(memory, dtype=torch.int64)
