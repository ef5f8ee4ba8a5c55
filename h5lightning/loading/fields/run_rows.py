"""Rows of windows that reach from one file into the next ones of its run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.fields.located_batch import FilePaths, LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.file_runs import FileRuns

__all__ = ["RunRows", "together"]


class RunRows:
    """Divides the samples of a batch: those whose rows lie in one file, and the single rows of the others.

    Args:
        runs: the files.
        paths: their paths.
    """

    def __init__(self, runs: FileRuns, paths: FilePaths) -> None:
        self._runs = runs
        self._paths = paths

    def divided(
        self, batch: LocatedBatch, offsets: Int64Array, steps: Int64Array
    ) -> tuple[LocatedBatch, LocatedBatch | None]:
        """The samples that lie in their file, and the rows of the others.

        Args:
            batch: the samples.
            offsets: the rows that a field needs, counted from the first row of a sample and ascending, ``(steps,)``; by
                sample where some are clipped, ``(N, steps)``.
            steps: the same for samples that are not clipped, ``(steps,)``.

        Returns:
            The samples of the first part; None in place of the second one if it has none. The slots of its rows are
            ``slot * steps + step``.
        """
        files = batch.units.repeat(batch.sizes)
        low, high = batch.rows + steps[0], batch.rows + steps[-1]
        is_single = (low < 0) | (high >= self._runs.rows[files])
        if offsets.ndim > 1:
            is_single |= (offsets != steps).any(axis=1)
        if not is_single.any():
            return batch, None
        which, count = np.flatnonzero(is_single), len(steps)
        rows = (batch.rows[which][:, None] + (offsets if offsets.ndim == 1 else offsets[which])).ravel()
        slots = (batch.slots[which][:, None] * count + np.arange(count)).ravel()
        found, rows = self._runs.locate(files[which].repeat(count), rows)
        order = np.lexsort((rows, found))
        inside = np.flatnonzero(~is_single)
        return (
            self._batch(batch, files, batch.rows, batch.slots, inside),
            self._batch(batch, found, rows, slots, order),
        )

    def _batch(
        self, batch: LocatedBatch, files: Int64Array, rows: Int64Array, slots: Int64Array, which: Int64Array
    ) -> LocatedBatch:
        """Some samples or rows, sorted by their files; ids are left out, since rows are none."""
        units, first = np.unique(files[which], return_index=True)
        borders = np.append(first, len(which))
        paths = self._paths.of(units)
        return LocatedBatch(units, paths, borders, rows[which], slots[which], batch.index, batch.ids[:0])


def together(
    fills: Sequence[tuple[LocatedBatch, Iterator[Sequence[RowRequest]]]],
) -> Iterator[Sequence[RowRequest]]:
    """Fill parts of a buffer, each with its own files, as one field; see `FieldReader.fill`."""
    yield [
        request._replace(paths=batch.paths)
        for batch, fill in fills
        for request in next(fill)
        if len(batch.paths)
    ]
    for _, fill in fills:
        for _ in fill:
            raise RuntimeError("a field with rows asks for rows once")
