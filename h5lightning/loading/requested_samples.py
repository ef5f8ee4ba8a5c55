"""How many samples of a dataset were requested, over all worker processes: the progress of plain torch code.

A plain DataLoader does not pass the epoch to its dataset. Transforms must draw different numbers in each pass anyway,
and workers live for one pass or for the whole program. So the count is kept in memory that forked workers share, and
that torch shares with workers which get the dataset as a pickle.
"""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import get_worker_info

from h5lightning.core.sample_numbers import to_numbers
from h5lightning.planning.sampling.rank_epoch import BatchRequest, EpochPosition

__all__ = ["Numbers", "RequestedSamples", "positions_of"]

Numbers: TypeAlias = npt.ArrayLike | torch.Tensor

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

    def request(self, positions: Sequence[int] | BatchRequest, size: int) -> BatchRequest:
        """The positions with their epoch: that of the loader that asks, if it sets one, else counted here.

        Args:
            positions: positions in a split; negative ones count from its end.
            size: samples of the split.

        Raises:
            TypeError: anything else than whole numbers.
            IndexError: a position outside of the split.
        """
        if isinstance(positions, BatchRequest):
            return positions
        numbers = to_numbers(positions, "positions")
        if numbers.size and not (-size <= numbers.min() and numbers.max() < size):
            raise IndexError(
                f"positions in this split must lie in [-{size}, {size}), found {numbers.min()}..{numbers.max()}"
            )
        numbers = np.where(numbers < 0, numbers + size, numbers)
        if numbers.size and isinstance(first := positions[0], EpochPosition):
            repeats = [getattr(position, "is_repeat", None) for position in positions]
            return BatchRequest(
                numbers, first.epoch, None if None in repeats else np.asarray(repeats, np.bool_)
            )
        return BatchRequest(numbers, self.add(numbers.size, size))

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


def positions_of(positions: Numbers | None, ids: Numbers | None) -> Numbers:
    """The positions that `read_batch` got, under their name or under the old one."""
    if ids is not None and positions is not None:
        raise TypeError("read_batch takes positions; ids= is their old name: give one of them")
    if ids is not None:
        warnings.warn(
            "read_batch(ids=…) takes positions in the split: write read_batch(positions). To read by "
            "batch['sample_id'], use read_ids(ids)",
            DeprecationWarning,
            stacklevel=3,
        )
        return ids
    return cast("Numbers", positions)
