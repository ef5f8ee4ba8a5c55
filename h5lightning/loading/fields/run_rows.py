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

    def divided(self, batch: LocatedBatch, offsets: Int64Array) -> tuple[LocatedBatch, LocatedBatch | None]:
        """The samples that lie in their file, and the rows of the others.

        Args:
            batch: the samples.
            offsets: the rows that a field needs, counted from the first row of a sample, ``(steps,)``, ascending.

        Returns:
            The samples of the first part; None in place of the second one if it has none. The slots of its rows are
            ``slot * steps + step``.
        """
        files = batch.units.repeat(batch.sizes)
        low, high = batch.rows + offsets[0], batch.rows + offsets[-1]
        crosses = (low < 0) | (high >= self._runs.rows[files])
        if not crosses.any():
            return batch, None
        which = np.flatnonzero(crosses)
        rows = (batch.rows[which][:, None] + offsets).ravel()
        slots = (batch.slots[which][:, None] * len(offsets) + np.arange(len(offsets))).ravel()
        found, rows = self._runs.locate(files[which].repeat(len(offsets)), rows)
        order = np.lexsort((rows, found))
        inside = np.flatnonzero(~crosses)
        return (
            self._batch(files[inside], batch.rows[inside], batch.slots[inside]),
            self._batch(found[order], rows[order], slots[order]),
        )

    def _batch(self, files: Int64Array, rows: Int64Array, slots: Int64Array) -> LocatedBatch:
        """Samples by their files, which ascend."""
        units, first = np.unique(files, return_index=True)
        return LocatedBatch(units, self._paths.of(units), np.append(first, len(files)), rows, slots)


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
