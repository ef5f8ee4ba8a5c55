"""How some columns of a table lie in the records of one file, and in the packed rows that are cached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes
from h5lightning.planning.catalog.record_layout import RecordColumn, RecordLayout
from h5lightning.storage.readers.checks import check_found_type
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.records import RecordColumns

__all__ = ["StoredTable", "hdf5_reasons"]


class StoredTable:
    """Some columns of a table in one file.

    Args:
        columns: the columns, each with the place where the file stores it.
        itemsize: bytes of a record.
        row_shape: shape of a row of records.

    Attributes:
        columns: each column, with the shape of one value.
        record: type of a record, with a field for each column, named by its position: "0", "1", …
        packed: type of a row of these columns alone, each of them in one piece. Rows are cached so: they take no more
            memory than the columns, and it costs little to divide them.
    """

    __slots__ = ("columns", "packed", "record")

    def __init__(
        self,
        columns: Sequence[tuple[DatasetColumn, RecordColumn]],
        itemsize: int,
        row_shape: tuple[int, ...],
    ) -> None:
        self.columns = [(column, stored.shape) for column, stored in columns]
        found = [stored for _, stored in columns]
        names = [str(position) for position in range(len(found))]
        self.record: np.dtype[Any] = np.dtype(
            {
                "names": names,
                "formats": [(column.dtype, column.shape) for column in found],
                "offsets": [column.offset for column in found],
                "itemsize": itemsize,
            }
        )
        self.packed: np.dtype[Any] = np.dtype(
            [
                (name, column.dtype, row_shape + column.shape)
                for name, column in zip(names, found, strict=True)
            ]
        )

    @classmethod
    def of(
        cls, source: DatasetColumn, record: RecordLayout | None, row_shape: tuple[int, ...]
    ) -> StoredTable | None:
        """The columns of a source in records of this layout, which has all of them; None if it is no table."""
        if not isinstance(source, RecordColumns) or record is None:
            return None
        pairs = ((column, record.column(column.member)) for column in source.columns)
        found = [(column, stored) for column, stored in pairs if stored is not None]
        return cls(found, record.itemsize, row_shape)

    def pack(self, records: npt.NDArray[Any], rows: Bytes, where: tuple[slice, ...]) -> None:
        """Put the columns of records into a part of packed rows.

        Args:
            records: the records, ``(N, ...)``, of any type of their size.
            rows: bytes of packed rows, ``(N * packed.itemsize,)``.
            where: which of the rows, and which part of each.
        """
        stored, packed = records.view(self.record), rows.view(self.packed)
        for name in self.record.names or ():
            packed[name][where] = stored[name]


def hdf5_reasons(file: str, source: DatasetColumn, record: RecordLayout | None) -> dict[DatasetColumn, str]:
    """Why only HDF5 can read some columns of a source; columns that need no HDF5 are left out.

    Raises:
        FileChangedError: a column does not have the type that was scanned, or is missing.
    """
    if not isinstance(source, RecordColumns):
        return {}
    reasons: dict[DatasetColumn, str] = {}
    for column in source.columns:
        stored = None if record is None else record.column(column.member)
        check_found_type(file, column, None if stored is None else (stored.dtype, stored.shape))
        if stored is not None and stored.reason:
            reasons[column] = f"has a column {column.member!r} that {stored.reason}"
    return reasons
