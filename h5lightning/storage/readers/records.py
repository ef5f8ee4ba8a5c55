"""Columns of one table are read together: one request for its records takes the place of one for each column."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

__all__ = [
    "TABLE",
    "RecordColumns",
    "RecordRequest",
    "columns_of",
    "combined",
    "each_column",
    "together",
    "with_buffers",
]

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

    def at(self, text: str) -> RecordColumns:
        """See `DatasetColumn.at`."""
        return RecordColumns.of([column.at(text) for column in self.columns]) if "*" in self.path else self

    @classmethod
    def of(cls, columns: Sequence[DatasetColumn]) -> RecordColumns:
        """The columns of one table, which files may store in different records."""
        return cls(columns[0].path, None, TABLE, (), columns[0].leading, columns=tuple(columns))


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


def with_buffers(
    source: DatasetColumn,
    borders: Int64Array,
    rows: Int64Array,
    slots: Int64Array,
    outs: Mapping[int, npt.NDArray[Any]],
) -> ReadRequest:
    """A request for single rows of a source; ``outs`` are the buffers of its columns by their positions."""
    first = next(iter(outs.values()))
    if not isinstance(source, RecordColumns):
        return ReadRequest(source, borders, rows, slots, first)
    return RecordRequest(source, borders, rows, slots, first, outs=tuple(outs.items()))


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


def combined(requests: Sequence[ReadRequest], separate: Collection[DatasetColumn] = ()) -> list[ReadRequest]:
    """The same requests, with one request for all columns of a table whose rows and slots are the same.

    Args:
        requests: for any sources.
        separate: columns that are not read with the others of their table.
    """
    others = [request for request in requests if request.source.member is None]
    if len(others) == len(requests):
        return others
    by_table: dict[object, list[ReadRequest]] = {}
    for request in requests:
        source = request.source
        if source.member is not None:
            table = source if source in separate else (source.path, source.leading)
            by_table.setdefault(table, []).append(request)
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
    return [_together(source, positions, group) for group in groups]


def _together(
    source: RecordColumns, positions: dict[DatasetColumn, int], requests: Sequence[ReadRequest]
) -> RecordRequest:
    by_row = requests[0].by_row()
    outs = tuple((positions[request.source], request.row_out) for request in requests)
    return RecordRequest(source, by_row.borders, by_row.rows, by_row.slots, outs[0][1], outs=outs)


def _has_same_rows(first: ReadRequest, second: ReadRequest) -> bool:
    return first.run == second.run and all(
        one is other or np.array_equal(one, other)
        for one, other in (
            (first.rows, second.rows),
            (first.slots, second.slots),
            (first.borders, second.borders),
        )
    )
