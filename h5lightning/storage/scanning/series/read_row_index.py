"""Read the datasets that divide others into rows of unequal length: the end of each row, or n + 1 offsets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from h5py import h5f

from h5lightning.core.arrays import Int64Array
from h5lightning.core.star_paths import concrete
from h5lightning.planning.catalog.row_index import IndexTable
from h5lightning.planning.series.table_borders import BadTableError, check_ascending, check_not_negative
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.series.table_column import TableColumn, open_column

__all__ = ["read_row_index"]

_ENTRIES = "its entries are the end of each row, or n + 1 offsets"


def read_row_index(
    fid: h5f.FileID, file: str, path: str, reader: ValueReader, *, texts: Sequence[str] | None = None
) -> IndexTable:
    """The numbers of an index in each unit of a file; why they divide nothing is recorded, not raised.

    Args:
        fid: the open file.
        file: its path.
        path: path of the index, which may hold the ``*``.
        reader: reads text.
        texts: what the ``*`` matched in each unit; None if the file is one unit.

    Raises:
        OSError: the index is damaged.
        NeedsProcessError: text must be read in a scanning process.
    """
    if texts is None:
        return _table(fid, file, path, reader)
    if "*" in path:
        tables = [_table(fid, file, concrete(path, text), reader) for text in texts]
        return IndexTable.joined(tables)
    shared = IndexTable.joined([_table(fid, file, path, reader)] if texts else [])
    return shared.take(np.zeros(len(texts), np.int64))


def _table(fid: h5f.FileID, file: str, path: str, reader: ValueReader) -> IndexTable:
    try:
        column = open_column(fid, file, path, reader)
        numbers = column.integers()
        check_not_negative(numbers, column.name)
        check_ascending(numbers, column.name, _ENTRIES)
    except BadTableError as error:
        return IndexTable.broken(str(error))
    return IndexTable.of_unit(numbers, must_be_ends=_says_ends(numbers, column, reader))


def _says_ends(numbers: Int64Array, column: TableColumn, reader: ValueReader) -> bool:
    """Whether these can be no offsets: offsets begin with 0, and a VectorIndex of NWB has ends."""
    if not numbers.size:
        return False
    if numbers[0] or column.member is not None or b"neurodata_type" not in column.info.attributes:
        return bool(numbers[0])
    return reader.text(column.info.did, "neurodata_type") == "VectorIndex"
