"""``Series(join_files=…)``: from the coordinates that the scan found to the runs of the files of a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import OptionError, SchemaError
from h5lightning.options import Series
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.file_runs import FileRuns
from h5lightning.planning.series.joined_files import (
    Coordinate,
    JoinedFiles,
    join_by_coordinate,
    join_in_order,
)

__all__ = ["COORDINATE", "coordinate_path", "join_files"]

# The key of the coordinate among the attributes of a file, whose names all contain an ``@``.
COORDINATE = "coordinate"


def coordinate_path(series: SeriesOption, *, has_matches: bool) -> str | None:
    """The coordinate that the scan must read; None for none.

    Raises:
        OptionError: files are joined, but a ``*`` makes several series of each.
    """
    join = series.join_files if isinstance(series, Series) else None
    if join is not None and has_matches:
        raise OptionError(
            "series: join_files makes series of whole files, but a '*' in the fields makes several series of each: "
            "say one of them"
        )
    return join if isinstance(join, str) else None


def join_files(
    catalog: Catalog, rows: Int64Array, roles: Mapping[str, Int64Array] | None, series: SeriesOption
) -> tuple[FileRuns, JoinedFiles] | None:
    """The runs of the files; None unless the user joins files.

    Args:
        catalog: the files, with their coordinates.
        rows: rows of each file, ``(files,)``.
        roles: files of each role, if the user names them; a run has files of one role only.
        series: what a series is.

    Raises:
        SchemaError: coordinates that do not fit the rows, cannot be compared, or overlap.
    """
    if not isinstance(series, Series) or series.join_files is None:
        return None
    groups = [np.arange(len(catalog))] if roles is None else [np.sort(files) for files in roles.values()]
    lists = [files.tolist() for files in groups]
    if series.join_files is True:
        joined = join_in_order(lists)
    else:
        path = str(series.join_files)
        coordinates = [_coordinate(catalog, file, path, int(rows[file])) for file in range(len(catalog))]
        joined = join_by_coordinate(lists, coordinates, catalog.path, path)
    missing = np.setdiff1d(np.arange(len(catalog)), np.concatenate([*groups, np.zeros(0, np.int64)]))
    return FileRuns.of([*joined.runs, *([file] for file in missing.tolist())], rows), joined


def _coordinate(catalog: Catalog, file: int, path: str, rows: int) -> Coordinate | None:
    found: dict[str, Any] | None = catalog.attrs_of(file).get(COORDINATE)
    count = 0 if found is None else found["rows"]
    if count != rows:
        raise SchemaError(
            f"series.join_files: '/{path}' in {catalog.path(file)} has {count} rows, the fields have {rows}: name the "
            "coordinate of their rows"
        )
    if found is None:
        return None
    return Coordinate(found["first"], found["last"], found["step"], found["units"], found["calendar"])
