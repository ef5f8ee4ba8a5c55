"""Read the values of a dataset, or of a column of a table, block by block: numbers as stored, text as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5t

from h5lightning.planning.catalog.schema import Member
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.cells import cell_texts, cells_shape
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.stored_values import blocks_of, blocks_of_columns, blocks_of_text

__all__ = ["MOST_TEXT_BYTES", "LongTextError", "StoredColumn"]

MOST_TEXT_BYTES = 4096
_BLOCK_BYTES = 8 * 1024 * 1024
_FIRST_TEXTS, _MOST_TEXTS = 1024, 16 * 1024  # of variable length, read at once


class LongTextError(Exception):
    """A text is too long to be a value, as the predicate of a sentence."""


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """The values of a dataset, or of a column of a table.

    Args:
        info: the dataset.
        member: the column with its shape; None for a dataset that is no table.
        text: the type of its text; None for numbers.
        is_words: whether it holds letters, whose last axis is that of the letters of a word (netCDF).
        reader: reads text.
        is_cells: whether it holds references to text (MATLAB).
    """

    info: DatasetInfo
    member: Member | None
    text: h5t.TypeStringID | None
    is_words: bool
    reader: ValueReader
    is_cells: bool = False

    @property
    def is_text(self) -> bool:
        """Whether its values are text."""
        return self.text is not None or self.is_cells

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its values, the axis of rows first."""
        shape = (self.info.shape or ()) + (() if self.member is None else self.member.shape)
        if self.is_cells:
            return cells_shape(shape)
        return shape[:-1] if self.is_words else shape

    def blocks(self) -> Iterator[npt.NDArray[Any]]:
        """All values in the order of the file, ``(values,)`` each.

        Raises:
            LongTextError: a text is too long.
            CellError: a cell holds no text.
            OSError: they are damaged.
            NeedsProcessError: text must be read in a scanning process.
        """
        if 0 in self.shape or self.info.shape is None:
            return
        if self.is_cells:
            yield from self._cells()
        elif self.text is None:
            yield from self._numbers()
        elif self.text.is_variable_str():
            yield from self._variable_texts()
        else:
            yield from self._fixed_texts(self.text)

    def _numbers(self) -> Iterator[npt.NDArray[Any]]:
        if self.member is None:
            yield from (block.reshape(-1) for _, block in blocks_of(self.info, _BLOCK_BYTES))
            return
        name = self.member.name
        for _, block in blocks_of_columns(self.info, [self.member], _BLOCK_BYTES):
            yield np.ascontiguousarray(block[name]).reshape(-1)

    def _fixed_texts(self, tid: h5t.TypeStringID) -> Iterator[npt.NDArray[Any]]:
        if tid.get_size() > MOST_TEXT_BYTES:
            raise LongTextError(f"holds text of {tid.get_size():,} bytes, over {MOST_TEXT_BYTES:,}")
        pad = tid.get_strpad()
        for block in blocks_of_text(self.info, self.member, tid, _BLOCK_BYTES):
            if self.is_words:
                words = np.ascontiguousarray(block).view(f"S{block.shape[-1]}").reshape(-1)
                yield np.char.rstrip(_cut(words), b" ")
            elif pad == h5t.STR_SPACEPAD:
                yield np.char.rstrip(block.reshape(-1), b" ")
            else:
                yield _cut(block.reshape(-1)) if pad == h5t.STR_NULLTERM else block.reshape(-1)

    def _cells(self) -> Iterator[npt.NDArray[Any]]:
        references = np.asarray(h5py.Dataset(self.info.did)[()], object).reshape(-1).tolist()
        for start in range(0, len(references), _FIRST_TEXTS):
            block = references[start : start + _FIRST_TEXTS]
            encoded = list(cell_texts(block, self.info.did, self.reader, start))
            yield np.asarray(encoded, f"S{max(1, *map(len, encoded))}")

    def _variable_texts(self) -> Iterator[npt.NDArray[Any]]:
        """Texts of variable length, in blocks that hold many of them."""
        held: list[npt.NDArray[Any]] = []
        for block in self._few_variable_texts():
            held.append(block)
            if sum(one.nbytes for one in held) >= _BLOCK_BYTES:
                yield np.concatenate(held)
                held = []
        if held:
            yield np.concatenate(held)

    def _few_variable_texts(self) -> Iterator[npt.NDArray[Any]]:
        row_size = int(np.prod(self.shape[1:], dtype=np.int64))
        rows, start, texts = self._rows(), 0, _FIRST_TEXTS
        stop = self.shape[0] if self.shape else 1
        while start < stop:
            end = min(stop, start + max(1, texts // row_size))
            with self.reader.guarded(self.info.did.get_type() if self.text is None else self.text):
                found = rows(start, end)
            encoded = [text or b"" for text in found.reshape(-1).tolist()]
            lengths = list(map(len, encoded))
            if max(lengths) > MOST_TEXT_BYTES:
                entry = start * row_size + lengths.index(max(lengths))
                raise LongTextError(
                    f"holds a text of {max(lengths):,} bytes (row {entry // row_size}), over {MOST_TEXT_BYTES:,}"
                )
            yield np.asarray(encoded, f"S{max(1, *lengths)}")
            texts = min(_MOST_TEXTS, max(row_size, _BLOCK_BYTES * len(lengths) // (1 + sum(lengths))))
            start = end

    def _rows(self) -> Callable[[int, int], npt.NDArray[Any]]:
        dataset = h5py.Dataset(self.info.did)
        values: Any = dataset if self.member is None else dataset.fields(self.member.name)
        if not self.info.shape:
            return lambda _, __: np.asarray(values[()], object)
        return lambda start, stop: np.asarray(values[start:stop], object)


def _cut(texts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Texts without what follows their first zero byte, ``(texts,)``."""
    letters = np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), -1)
    is_behind = np.logical_or.accumulate(letters == 0, axis=1)
    return np.where(is_behind, np.uint8(0), letters).view(texts.dtype).reshape(-1)
