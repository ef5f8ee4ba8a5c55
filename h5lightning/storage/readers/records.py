"""Columns of one table are read together: one request for its records takes the place of one for each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

__all__ = ["TABLE", "RecordColumns", "RecordRequest", "columns_of", "combined", "each_column", "together"]

TABLE = "compound"  # the `dtype` of a source that is several columns of a table


@dataclass(frozen=True, slots=True)
class RecordColumns(DatasetColumn):
    """Some columns of one table, which are read together; make it with `of`.

    Args:
        columns: the columns, each once.
    """

    columns: tuple[DatasetColumn, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.columns))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordColumns.of, (self.columns,)

    @classmethod
    def of(cls, columns: Sequence[DatasetColumn]) -> RecordColumns:
        """The columns of one table, which files may store in different records."""
        return cls(columns[0].path, None, TABLE, (), columns=tuple(columns))


@dataclass(frozen=True, slots=True, eq=False)
class RecordRequest(ReadRequest):
    """The same rows of some columns of a table; see `ReadRequest`.

    Args:
        source: all columns that are read of the table.
        out: the first of the buffers.
        outs: a column, as its position in the source, and its buffer; one column may have several buffers.
    """

    outs: tuple[tuple[int, npt.NDArray[Any]], ...] = ()


def columns_of(source: DatasetColumn) -> tuple[DatasetColumn, ...]:
    """The columns of a source, or the source itself."""
    return source.columns if isinstance(source, RecordColumns) else (source,)


def together(source: DatasetColumn) -> DatasetColumn:
    """A column of a table as `RecordColumns`; any other source as it is."""
    return source if source.member is None else RecordColumns.of([source])


def each_column(request: ReadRequest) -> list[ReadRequest]:
    """The requests that `combined` made one of."""
    if not isinstance(request, RecordRequest):
        return [request]
    columns = columns_of(request.source)
    return [
        ReadRequest(columns[position], request.borders, request.rows, request.slots, out)
        for position, out in request.outs
    ]


def combined(requests: Sequence[ReadRequest]) -> list[ReadRequest]:
    """The same requests, with one request for all columns of a table whose rows and slots are the same."""
    others = [request for request in requests if request.source.member is None]
    if len(others) == len(requests):
        return others
    by_table: dict[str, list[ReadRequest]] = {}
    for request in requests:
        if request.source.member is not None:
            by_table.setdefault(request.source.path, []).append(request)
    return others + [one for table in by_table.values() for one in _of_table(table)]


def _of_table(requests: Sequence[ReadRequest]) -> list[ReadRequest]:
    # All requests have the same source: what is decoded for one of them is there for the others.
    positions: dict[DatasetColumn, int] = {}
    for request in requests:
        positions.setdefault(request.source, len(positions))
    source = RecordColumns.of(tuple(positions))
    groups: list[list[ReadRequest]] = []
    for request in requests:
        same = next((group for group in groups if _has_same_rows(group[0], request)), None)
        if same is None:
            groups.append([request])
        else:
            same.append(request)
    return [
        RecordRequest(
            source,
            group[0].borders,
            group[0].rows,
            group[0].slots,
            group[0].out,
            outs=tuple((positions[request.source], request.out) for request in group),
        )
        for group in groups
    ]


def _has_same_rows(first: ReadRequest, second: ReadRequest) -> bool:
    return all(
        one is other or np.array_equal(one, other)
        for one, other in (
            (first.rows, second.rows),
            (first.slots, second.slots),
            (first.borders, second.borders),
        )
    )
