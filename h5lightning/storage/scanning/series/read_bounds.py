"""Read the tables that divide the rows of a file, or of each match of a ``*`` in it, into series."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from h5py import h5f

from h5lightning.core.star_paths import concrete
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.series import table_borders
from h5lightning.planning.series.row_borders import FlagBorders, RunBorders
from h5lightning.planning.series.table_borders import BadTableError, Bounds
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.series.table_column import TableColumn, open_column

__all__ = ["read_bounds"]


def read_bounds(
    fid: h5f.FileID,
    file: str,
    series: Sequence[str],
    reader: ValueReader,
    *,
    texts: Sequence[str] | None = None,
) -> SeriesBounds:
    """The series of each unit of a file; why tables divide nothing is recorded, not raised.

    Args:
        fid: the open file.
        file: its path.
        series: the tables, as `Series.tables` writes them: ``ends=meta/ends``; their paths may hold the ``*``.
        reader: reads text.
        texts: what the ``*`` matched in each unit; None if the file is one unit.

    Raises:
        OSError: a table is damaged.
        NeedsProcessError: text must be read in a scanning process.
    """
    ways, tables = zip(*(entry.split("=", 1) for entry in series), strict=True)
    shared: dict[tuple[str, ...], SeriesBounds] = {}

    def of_unit(text: str | None) -> SeriesBounds:
        paths = tuple(path if text is None else concrete(path, text) for path in tables)
        if paths not in shared:
            shared.clear()  # tables of one unit may be those of the next one, or of none
            shared[paths] = _bounds(fid, file, ways, paths, reader)
        return shared[paths]

    if texts is None:
        return of_unit(None)
    return SeriesBounds.joined([of_unit(text) for text in texts])


def _bounds(
    fid: h5f.FileID,
    file: str,
    ways: Sequence[str],
    paths: Sequence[str],
    reader: ValueReader,
) -> SeriesBounds:
    try:
        columns = [open_column(fid, file, path, reader) for path in paths]
        (starts, rows, total), names = _MAKERS[tuple(dict.fromkeys(ways))](columns)
    except BadTableError as error:
        return SeriesBounds.broken(str(error))
    return SeriesBounds.of_unit(starts.astype(np.int64), rows.astype(np.int64), total, names)


def _of_ends(columns: Sequence[TableColumn]) -> Bounds:
    return table_borders.from_ends(columns[0].integers(), columns[0].name)


def _of_offsets(columns: Sequence[TableColumn]) -> Bounds:
    return table_borders.from_offsets(columns[0].integers(), columns[0].name)


def _of_lengths_alone(columns: Sequence[TableColumn]) -> Bounds:
    return table_borders.from_lengths_alone(columns[0].integers(), columns[0].name)


def _of_lengths(columns: Sequence[TableColumn]) -> Bounds:
    starts, lengths = columns
    return table_borders.from_lengths(starts.integers(), lengths.integers(), (starts.name, lengths.name))


def _of_stops(columns: Sequence[TableColumn]) -> Bounds:
    starts, stops = columns
    return table_borders.from_stops(starts.integers(), stops.integers(), (starts.name, stops.name))


def _of_flags(columns: Sequence[TableColumn]) -> Bounds:
    borders = [FlagBorders(column.name) for column in columns]
    for border, column in zip(borders, columns, strict=True):
        for block in column.flags():
            border.add(block)
    return FlagBorders.bounds(borders)


def _of_runs(columns: Sequence[TableColumn]) -> tuple[Bounds, StringTable]:
    borders = RunBorders(columns[0].name)
    for block in columns[0].values():
        borders.add(block)
    return borders.bounds(), borders.names()


def _unnamed(make: Callable[[Sequence[TableColumn]], Bounds]) -> _Maker:
    return lambda columns: (make(columns), None)


_Maker = Callable[[Sequence[TableColumn]], tuple[Bounds, StringTable | None]]
_MAKERS: dict[tuple[str, ...], _Maker] = {
    ("ends",): _unnamed(_of_ends),
    ("offsets",): _unnamed(_of_offsets),
    ("lengths",): _unnamed(_of_lengths_alone),
    ("starts", "lengths"): _unnamed(_of_lengths),
    ("starts", "stops"): _unnamed(_of_stops),
    ("flags",): _unnamed(_of_flags),
    ("runs",): _of_runs,
}
