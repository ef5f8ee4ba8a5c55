"""Open a dataset, or a column of a table, that divides rows, and read its values in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5f, h5t

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.planning.series.table_borders import BadTableError
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.describe_dataset import find_dataset
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.stored_values import (
    blocks_of,
    blocks_of_columns,
    has_own_values,
    plugin_filter,
)

__all__ = ["TableColumn", "open_column"]

# A table has a number for each series or each row, so these are limits for damaged and hostile files.
_MOST_ENTRIES = 64 * 1024 * 1024
_MOST_BYTES = 4 * 1024 * 1024 * 1024
_MOST_CHUNK_BYTES = 256 * 1024 * 1024
_TEXTS = 16 * 1024  # in a block of text of variable length
_PACKING = {b"scale_factor", b"add_offset"}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A dataset with a value for each series or each row.

    Args:
        name: its path, or ``table/column``, for messages: ``'/meta/ends'``.
        info: the dataset.
        member: the column of a compound; None for a dataset of plain values.
        reader: reads text.
    """

    name: str
    info: DatasetInfo
    member: Member | None
    reader: ValueReader

    @property
    def length(self) -> int:
        """Number of entries."""
        return (self.info.shape or (0,))[0]

    @property
    def kind(self) -> str:
        """NumPy's kind of its values, ``iufb``; ``S`` and ``O`` for text of fixed and of variable length."""
        if self.member is None and (tid := self.info.did.get_type()).get_class() == h5t.STRING:
            return "O" if tid.is_variable_str() else "S"
        element = self.info.element if self.member is None else self.member
        return "" if element.refusal else np.dtype(element.dtype).kind

    def integers(self) -> Int64Array:
        """All of its integers, ``(entries,)``.

        Raises:
            BadTableError: it holds anything else, or too many of them.
            OSError: it is damaged.
        """
        if self.kind not in ("i", "u"):
            raise BadTableError(f"{self.name} holds {self._type_text()}, expected integers")
        if self.length > _MOST_ENTRIES:
            raise BadTableError(f"{self.name} has {self.length:,} entries, over {_MOST_ENTRIES:,}")
        numbers = np.empty(self.length, np.int64)
        for start, block in self.blocks():
            if block.dtype == np.uint64 and (block > np.iinfo(np.int64).max).any():
                entry = int((block > np.iinfo(np.int64).max).argmax())
                raise BadTableError(
                    f"entry {start + entry} of {self.name} is {block[entry]}, which is no row"
                )
            numbers[start : start + len(block)] = block
        return numbers

    def flags(self) -> Iterator[npt.NDArray[Any]]:
        """Its numbers in blocks, for flags.

        Raises:
            BadTableError: it holds no numbers.
            OSError: it is damaged.
        """
        if self.kind not in ("b", "i", "u", "f"):
            raise BadTableError(f"{self.name} holds {self._type_text()}, expected flags: bool, or 0 and 1")
        yield from (block for _, block in self.blocks())

    def values(self) -> Iterator[npt.NDArray[Any]]:
        """Its numbers or texts in blocks, for runs of equal values.

        Raises:
            BadTableError: it holds anything else.
            OSError: it is damaged.
            NeedsProcessError: its text must be read in a scanning process.
        """
        if self.kind in ("S", "O"):
            yield from self._texts()
            return
        if self.kind not in ("b", "i", "u", "f"):
            raise BadTableError(f"{self.name} holds {self._type_text()}, expected numbers or text")
        yield from (block for _, block in self.blocks())

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Its numbers in blocks, each with the number of its first entry."""
        if not self.length:
            return
        if self.member is None:
            yield from ((start, block.reshape(-1)) for start, block in blocks_of(self.info))
            return
        name = self.member.name
        for start, block in blocks_of_columns(self.info, [self.member]):
            yield start, block[name].reshape(-1)

    def _texts(self) -> Iterator[npt.NDArray[Any]]:
        dataset, tid = h5py.Dataset(self.info.did), self.info.did.get_type()
        for start in range(0, self.length, _TEXTS):
            with self.reader.guarded(tid):
                yield dataset[start : start + _TEXTS].reshape(-1)

    def _type_text(self) -> str:
        if self.kind in ("S", "O"):
            return "text"
        return self.info.element.dtype if self.member is None else self.member.dtype


def open_column(fid: h5f.FileID, file: str, path: str, reader: ValueReader) -> TableColumn:
    """Open the dataset at a path, or the column at ``table/column``.

    Args:
        fid: the open file.
        file: its path.
        path: path in the file, without a leading slash.
        reader: reads text.

    Raises:
        BadTableError: there is none, or its values are not read.
    """

    def found(at: str) -> DatasetInfo | DatasetSchema | None:
        return find_dataset(fid, at, reader, file=file)

    info, member, column = found(path), None, ""
    if info is None and "/" in path:
        table, _, column = path.rpartition("/")
        info = found(table)
        if isinstance(info, DatasetInfo) and info.element.members:
            member = next((member for member in info.element.members if member.name == column), None)
        info = info if member is not None else None
    if info is None:
        raise BadTableError(f"holds no dataset '/{path}'")
    name = f"'/{path}'"
    if isinstance(info, DatasetSchema):
        raise BadTableError(f"{name} {info.refusal}")
    opened = TableColumn(name, info, member, reader)
    if problem := _problem(opened):
        raise BadTableError(f"{name} {problem}")
    return opened


def _problem(column: TableColumn) -> str:
    """Why its values are not read, as the predicate of a sentence; empty if they are."""
    info, member = column.info, column.member
    if info.element.members and member is None:
        names = ", ".join(member.name for member in info.element.members[:12])
        return f"is a table with the columns {names}: name one of them, TABLE/COLUMN"
    if member is not None and member.refusal:
        return f"is a column that {member.refusal}"
    shape = info.shape if member is None or info.shape is None else info.shape + member.shape
    if not shape or math.prod(shape[1:]) != 1:
        return f"has shape {shape}, expected one axis with a value for each series or row"
    if not has_own_values(info):
        return "takes its values from other files or datasets: copy it into the file"
    if info.attributes & _PACKING:
        return "holds packed numbers (scale_factor, add_offset): write plain integers"
    if plugin := plugin_filter(info):
        return f"is compressed by {plugin}, which a scan does not decode: write it without a filter, or with gzip"
    return _size_problem(info)


def _size_problem(info: DatasetInfo) -> str:
    if info.chunks is not None and info.chunk_bytes > _MOST_CHUNK_BYTES:
        return f"has chunks of {info.chunk_bytes:,} bytes, over {_MOST_CHUNK_BYTES:,}"
    nbytes = math.prod(info.shape or ()) * info.itemsize
    if nbytes > _MOST_BYTES:
        return f"takes {nbytes:,} bytes, over {_MOST_BYTES:,}"
    missing = info.chunk_count - info.did.get_num_chunks() if info.chunks is not None else 0
    is_unwritten = info.storage == "contiguous" and nbytes > 0 and info.did.get_storage_size() == 0
    return "has values that were never written" if missing > 0 or is_unwritten else ""
