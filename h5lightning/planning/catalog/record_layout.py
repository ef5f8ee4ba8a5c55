"""Where the columns of a table (compound) lie in each of its records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["RecordColumn", "RecordLayout"]


class RecordColumn(NamedTuple):
    """One column of a table.

    Args:
        name: its name.
        dtype: NumPy's type string of an element, or a description of a refused type.
        shape: shape of one value; ``()`` for a single number.
        offset: its first byte in the record.
        reason: why only HDF5 can read it, as the predicate of a sentence; empty if its bytes are those of ``dtype``.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RecordLayout:
    """The records of a table as they are stored.

    Args:
        itemsize: bytes of a record, with gaps and with columns that no tensor can hold.
        columns: all columns, in the order of the file.
    """

    itemsize: int
    columns: tuple[RecordColumn, ...]

    def column(self, name: str | None) -> RecordColumn | None:
        """The column of that name; None if there is none."""
        return next((column for column in self.columns if column.name == name), None)

    def to_plain(self) -> list[Any]:
        """Nested lists for JSON."""
        return [self.itemsize, [list(column) for column in self.columns]]

    @classmethod
    def from_plain(cls, plain: Sequence[Any]) -> RecordLayout:
        """The layout that `to_plain` wrote."""
        itemsize, columns = plain
        return cls(
            itemsize,
            tuple(
                RecordColumn(name, dtype, tuple(shape), offset, reason)
                for name, dtype, shape, offset, reason in columns
            ),
        )
