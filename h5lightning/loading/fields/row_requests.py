"""Rows that the fields of a batch ask for, read in as few calls as possible, each row once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.values.conversions import assign
from h5lightning.storage.readers.protocol import Reader, ReadRequest

__all__ = ["RowRequest", "by_files", "read_rows"]


class RowRequest(NamedTuple):
    """Rows of one column that a field asks for.

    Args:
        request: what to read.
        files: the files that it reads, by their index in the batch, ascending; None for all files of the batch.
    """

    request: ReadRequest
    files: tuple[int, ...] | None = None


def by_files(
    paths: Sequence[str], requests: Iterable[RowRequest]
) -> Iterator[tuple[Sequence[str], list[ReadRequest]]]:
    """The requests of each set of files, with the paths of the files; ``paths`` are those of the batch."""
    groups: dict[tuple[int, ...] | None, list[ReadRequest]] = {}
    for request, files in requests:
        groups.setdefault(files, []).append(request)
    for files, group in groups.items():
        yield paths if files is None else [paths[file] for file in files], group


def read_rows(reader: Reader, paths: Sequence[str], requests: Sequence[RowRequest]) -> None:
    """Fill the buffers of requests; rows that several of them ask for are read once.

    Raises:
        BadFileError: a file cannot be read.
        FloatingPointError: a finite value would become infinite in the type of its buffer.
    """
    if not paths:
        return
    shared, different = _shared(requests)
    for files, group in by_files(paths, different):
        reader.read(files, group)
    for rows in shared:
        rows.distribute()


def _shared(requests: Sequence[RowRequest]) -> tuple[list[_SharedRows], Iterable[RowRequest]]:
    """The shared rows, and requests for all rows that name no column twice."""
    if len(requests) == 1:
        return [], requests
    by_column: dict[object, list[RowRequest]] = {}
    for one in requests:
        by_column.setdefault((one.request.source, one.files), []).append(one)
    if len(by_column) == len(requests):
        return [], requests
    shared: list[_SharedRows] = []
    different: list[RowRequest] = []
    for group in by_column.values():
        if len(group) == 1:
            different += group
        else:
            shared.append(_SharedRows([one.request for one in group]))
            different.append(RowRequest(shared[-1].request, group[0].files))
    return shared, different


class _SharedRows:
    """One request for all rows that several requests ask of a column of the same files, each once."""

    def __init__(self, requests: Sequence[ReadRequest]) -> None:
        self._requests = requests
        column, borders = requests[0].source, requests[0].borders
        rows = np.concatenate([request.rows for request in requests])
        # Rows are numbered over all files. As np.unique, which takes longer than reading short rows.
        first = np.arange(len(borders)) * (rows.max(initial=0) + 1)
        rows += np.concatenate([first[:-1].repeat(request.sizes) for request in requests])
        order = rows.argsort(kind="stable")
        ordered = rows[order]
        is_new = np.ones(len(ordered), np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
        self._which = np.empty_like(order)
        self._which[order] = is_new.cumsum() - 1
        different = ordered[is_new]
        starts = different.searchsorted(first)
        different -= first[:-1].repeat(starts[1:] - starts[:-1])
        out = np.empty((len(different), *column.row_shape), np.dtype(column.dtype).newbyteorder("="))
        self.request = ReadRequest(column, starts, different, np.arange(len(different)), out)

    def distribute(self) -> None:
        """Fill the buffers of all requests from the rows that were read."""
        start = 0
        for request in self._requests:
            stop = start + len(request.rows)
            _assign_rows(request, self.request.out, self._which[start:stop])
            start = stop


def _assign_rows(request: ReadRequest, rows: npt.NDArray[Any], which: Int64Array) -> None:
    """Put ``rows[which[i]]`` into ``out[slots[i]]`` of a request."""
    out, slots = request.out, request.slots
    if len(slots) == len(out) and out.dtype == rows.dtype:
        # All slots, each once: gathered without a temporary copy.
        ordered = np.empty_like(which)
        ordered[slots] = which
        np.take(rows, ordered, axis=0, out=out, mode="clip")
    else:
        assign(out, slots, rows[which])
