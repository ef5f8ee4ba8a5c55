"""Read the values of rows that a scan is asked for: which ones occur, and which one each row has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.star_paths import concrete
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.catalog.value_list import ValueList
from h5lightning.planning.values.encoded_values import as_read, is_missing
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.cells import CellError
from h5lightning.storage.scanning.metadata_values import ValueReader, decoded_text
from h5lightning.storage.scanning.rows.distinct_values import DistinctValues, TooManyValuesError, renumbered
from h5lightning.storage.scanning.rows.value_blocks import LongTextError, StoredColumn
from h5lightning.storage.scanning.rows.value_source import (
    NoValuesError,
    ValueFile,
    ValueSource,
    column_of,
    open_source,
)
from h5lightning.storage.scanning.scan_request import ValueScope

__all__ = ["RowValueReader"]

_MOST_IN_ROW = 2**16
_MOST_CODES = 2**28

_Values = npt.NDArray[Any]


class RowValueReader:
    """Reads the values of names in one open file.

    Args:
        file: the file.
        tell: called after each block with the share of the scan that it was, so that a long scan is not taken for one
            that hangs.
        share: the share of the scan that the values of one name are; 0 where other parts tell all of it.
    """

    def __init__(
        self, file: ValueFile, tell: Callable[[float], None] = lambda _: None, share: float = 0.0
    ) -> None:
        self._file = file
        self._tell = tell
        self._share = share

    def of(self, name: str, texts: Sequence[str] | None = None, kept: ValueScope = "rows") -> RowValues:
        """The values of a name in each unit; why they were not read is recorded, not raised.

        Args:
            name: the name, which may hold the ``*``; see `open_source`.
            texts: what the ``*`` matched in each unit; None if the file is one unit.
            kept: what is kept; see `ScanRequest.kept_values`.

        Raises:
            OSError: the values are damaged.
            NeedsProcessError: text must be read in a scanning process.
        """
        if texts is None:
            return self._column(name, kept)
        if "*" in name:
            return RowValues.joined([self._column(concrete(name, text), kept) for text in texts])
        shared = RowValues.joined([self._column(name, kept)] if texts else [])
        return shared.take(np.zeros(len(texts), np.int64))

    def _column(self, name: str, kept: ValueScope) -> RowValues:
        try:
            source = open_source(self._file, name)
            try:
                return self._read(source, kept)
            except (TooManyValuesError, LongTextError, CellError) as error:
                raise NoValuesError(f"{source.name} {error}") from error
        except NoValuesError as error:
            return RowValues.broken(str(error))

    def _read(self, source: ValueSource, kept: ValueScope) -> RowValues:
        shape = source.column.shape
        rows, row_size = (shape[0], math.prod(shape[1:])) if shape else (1, 1)
        if kept == "texts" and source.is_known_without_rows:
            return RowValues.of_unit(ValueList(is_text=False), None, rows=rows, row_size=row_size)
        keeps = _keeps_rows(rows, row_size, kept, is_text=source.column.is_text or source.table is not None)
        distinct = DistinctValues(rows * row_size if keeps else None)
        mask = None if source.mask is None else _mask(source.mask)
        start = 0
        for block in source.column.blocks():
            values, missing = _decoded(block, source)
            if mask is not None:
                masked = mask[start : start + block.size]
                missing = masked if missing is None else missing | masked
            distinct.add(values, missing)
            start += block.size
            self._tell(self._share * block.size / (rows * row_size))
        found, codes = self._named(source, *distinct.found())
        return RowValues.of_unit(found, codes, rows=rows, row_size=row_size)

    def _named(
        self, source: ValueSource, values: _Values, codes: npt.NDArray[np.signedinteger[Any]] | None
    ) -> tuple[ValueList, npt.NDArray[np.signedinteger[Any]] | None]:
        """What the distinct stored values mean, and the codes of those."""
        if source.table is not None:
            names, position = self._names(source, values)
        elif source.numbers is not None:
            names, position = _names_of(values, np.asarray(source.numbers), source.names)
        elif source.column.is_text:
            names, position = _text_list(values)
        else:
            return ValueList.of_numbers(values), codes
        if codes is None or np.array_equal(position, np.arange(len(position))):
            return names, codes
        return names, renumbered(codes, np.append(position, -1), len(names))

    def _names(self, source: ValueSource, codes: _Values) -> tuple[ValueList, Int64Array]:
        """The names of codes that occur, and the position among them of each code; -1 for one without a name."""
        table = source.table
        if table is None:
            raise RuntimeError("only codes with a table have names in it")
        names = column_of(DatasetInfo.of(table.did), table.column, self._file.reader)
        blocks = list(names.blocks())
        every = np.concatenate(blocks) if blocks else np.zeros(0, "S1")
        numbers = codes.astype(np.int64)
        is_named = (codes >= 0) & (codes < len(every)) & (numbers == codes)
        position = np.full(len(codes), -1, np.int64)
        used = every[numbers[is_named]]
        distinct, which = np.unique(used, return_inverse=True)
        if names.text is None:
            values = ValueList.of_numbers(distinct)
            own = np.arange(len(distinct))
        else:
            values, own = _text_list(distinct)
        position[is_named] = own[which.reshape(-1)]
        return values, position


def _keeps_rows(rows: int, row_size: int, kept: ValueScope, *, is_text: bool) -> bool:
    """Whether the value of each row is kept. A batch can read numbers again, so they need not fill the index."""
    if row_size > _MOST_IN_ROW or rows * row_size > _MOST_CODES:
        return False
    return kept == "rows" or is_text or row_size == 1


def _decoded(block: _Values, source: ValueSource) -> tuple[_Values, BoolArray | None]:
    """Values, and which of them are missing."""
    encoding = source.encoding
    if encoding is None or source.table is not None:
        return block, None
    missing = is_missing(block, encoding) if encoding.is_masking else None
    values = as_read(block, encoding)
    if (encoding.scale, encoding.offset) != (1.0, 0.0):
        with np.errstate(all="ignore"):
            values = values * encoding.scale + encoding.offset
    return values, missing


def _mask(info: DatasetInfo) -> BoolArray:
    blocks = StoredColumn(info, None, None, is_words=False, reader=ValueReader(reads_text=False)).blocks()
    return np.concatenate([np.zeros(0, bool), *(block.astype(bool) for block in blocks)])


def _names_of(values: _Values, numbers: _Values, names: Sequence[str]) -> tuple[ValueList, Int64Array]:
    """The names of stored numbers that occur, and the position among them of each number; -1 without a name."""
    name_of = dict(zip(numbers.tolist(), names, strict=True))
    found = [name_of.get(value) for value in values.tolist()]
    known = ValueList.of_texts(name for name in found if name is not None)
    position_of = {name: position for position, name in enumerate(known)}
    return known, np.asarray([-1 if name is None else position_of[name] for name in found], np.int64)


def _text_list(texts: npt.NDArray[np.bytes_]) -> tuple[ValueList, Int64Array]:
    """Distinct encoded texts as a list, and the position of each in it."""
    every = np.arange(len(texts))
    if not len(texts):
        return ValueList(is_text=True), every
    table = StringTable.of_bytes(texts)
    if _is_utf8(table):
        return ValueList(is_text=True, texts=table), every  # the order of UTF-8 is that of its code points
    decoded = [decoded_text(text) for text in texts.tolist()]
    known = ValueList.of_texts(decoded)
    return known, known.positions(decoded)


def _is_utf8(table: StringTable) -> bool:
    if bool((table.blob < 128).all()):
        return True
    starts = np.concatenate([np.zeros(1, np.int64), table.ends[:-1]])
    starts = starts[starts < table.blob.size]
    try:
        table.blob.tobytes().decode()
    except UnicodeDecodeError:
        return False
    return bool((table.blob[starts] & 0xC0 != 0x80).all())  # no text begins inside a letter
