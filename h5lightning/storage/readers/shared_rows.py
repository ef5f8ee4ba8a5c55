"""Rows that several requests of a batch ask for, read once and then copied: for data that HDF5 reads or decodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.values.conversions import assign
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.records import RecordRequest, columns_of, with_buffers
from h5lightning.storage.readers.row_writer import checked_slots

__all__ = ["CoveredRows", "by_source", "read_each_once", "without_covered"]

T = TypeVar("T")


def by_source(requests: Sequence[ReadRequest]) -> dict[DatasetColumn, list[ReadRequest]]:
    """The requests for each dataset or column."""
    groups: dict[DatasetColumn, list[ReadRequest]] = {}
    for request in requests:
        groups.setdefault(request.source, []).append(request)
    return groups


@dataclass(frozen=True, slots=True, eq=False)
class CoveredRows:
    """A request for single rows that another request of the batch reads too: they are copied from its buffer.

    Args:
        request: the rows, and where they go.
        rows: the rows of the buffer of the other request.
        which: the row of ``rows`` for each row of the request, ``(N,)``.
    """

    request: ReadRequest
    rows: npt.NDArray[Any]
    which: Int64Array

    def copy(self) -> None:
        """Fill the buffer of the request, once the other request was read."""
        _assign_rows(self.request.out, self.request.slots, self.rows, self.which)


def without_covered(requests: Sequence[ReadRequest]) -> tuple[list[ReadRequest], list[CoveredRows]]:
    """Divide requests for one source of the same files into those that are read, and those that are copied then.

    Raises:
        IndexError: a slot outside of the buffer.
    """
    longest = max(requests, key=lambda request: request.run)
    if len(requests) == 1 or longest.run == 1 or isinstance(longest, RecordRequest):
        return list(requests), []
    found = [None if request is longest else _covered(request.by_row(), longest) for request in requests]
    read = [request for request, covered in zip(requests, found, strict=True) if covered is None]
    return read, [covered for covered in found if covered is not None]


def _covered(request: ReadRequest, runs: ReadRequest) -> CoveredRows | None:
    """Single rows, as parts of the runs of another request; None if a row is in none of them."""
    is_alike = request.out.dtype == runs.out.dtype and runs.out.flags.c_contiguous
    if not is_alike or not request.rows.size or not runs.rows.size or request.rows.min() < 0:
        return None
    # Rows are numbered over all files, with a gap between two files that no run reaches across.
    height = max(int(request.rows.max()), int(runs.rows.max())) + runs.run + 1
    rows = request.rows + _first_rows(request, height)
    firsts = runs.rows + _first_rows(runs, height)
    order = firsts.argsort(kind="stable")
    firsts = firsts[order]
    at = np.maximum(firsts.searchsorted(rows, side="right") - 1, 0)
    inside = rows - firsts[at]
    if inside.min() < 0 or inside.max() >= runs.run:
        return None
    checked_slots(request.slots, request.out)
    values = runs.out.reshape(-1, *runs.source.row_shape)
    return CoveredRows(request, values, runs.slots[order][at] * runs.run + inside)


def _first_rows(request: ReadRequest, height: int) -> Int64Array:
    """For each entry, the number of the first row of its file if each file has as many rows, ``(N,)``."""
    return (np.arange(len(request.borders) - 1) * height).repeat(request.sizes)


def read_each_once(requests: Sequence[ReadRequest], read: Callable[[ReadRequest], T]) -> T:
    """Fill the buffers of requests for one source of the same files, reading each row once.

    Args:
        requests: what is read, at least one.
        read: reads a request; called once, with one for all different rows.

    Returns:
        What ``read`` returns.

    Raises:
        FloatingPointError: a finite value would become infinite in the type of its buffer.
    """
    if len(requests) == 1:
        return read(requests[0])
    shared = _SharedRows([request.by_row() for request in requests])
    result = read(shared.request)
    shared.distribute()
    return result


class _SharedRows:
    """One request for all rows that several requests ask of a column of the same files, each once."""

    def __init__(self, requests: Sequence[ReadRequest]) -> None:
        self._requests = requests
        borders = requests[0].borders
        rows = np.concatenate([request.rows for request in requests])
        # Rows are numbered over all files. As np.unique, which takes longer than reading short rows.
        height = int(rows.max(initial=0)) + 1
        first = np.arange(len(borders)) * height
        rows += np.concatenate([_first_rows(request, height) for request in requests])
        order = rows.argsort(kind="stable")
        ordered = rows[order]
        is_new = np.ones(len(ordered), np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
        self._which = np.empty_like(order)
        self._which[order] = is_new.cumsum() - 1
        different = ordered[is_new]
        starts = different.searchsorted(first)
        different -= first[:-1].repeat(starts[1:] - starts[:-1])
        # The values of each column, by its position among the columns of a table.
        self._values: dict[int, npt.NDArray[Any]] = {}
        for request in requests:
            for position, column, _ in _buffers(request):
                shape, native = (len(different), *column.row_shape), np.dtype(column.dtype).newbyteorder("=")
                self._values.setdefault(position, np.empty(shape, native))
        slots = np.arange(len(different))
        self.request = with_buffers(requests[0].source, starts, different, slots, self._values)

    def distribute(self) -> None:
        """Fill the buffers of all requests from the rows that were read."""
        start = 0
        for request in self._requests:
            stop = start + len(request.rows)
            for position, _, out in _buffers(request):
                _assign_rows(out, request.slots, self._values[position], self._which[start:stop])
            start = stop


def _buffers(request: ReadRequest) -> list[tuple[int, DatasetColumn, npt.NDArray[Any]]]:
    """Each column of a request, with its position and its buffer; a dataset is its only column."""
    if not isinstance(request, RecordRequest):
        return [(0, request.source, request.out)]
    columns = columns_of(request.source)
    return [(position, columns[position], out) for position, out in request.outs]


def _assign_rows(out: npt.NDArray[Any], slots: Int64Array, rows: npt.NDArray[Any], which: Int64Array) -> None:
    """Put ``rows[which[i]]`` into ``out[slots[i]]``."""
    if len(slots) == len(out) and out.dtype == rows.dtype:
        # All slots, each once: gathered without a temporary copy.
        ordered = np.empty_like(which)
        ordered[slots] = which
        np.take(rows, ordered, axis=0, out=out, mode="clip")
    else:
        assign(out, slots, rows[which])
