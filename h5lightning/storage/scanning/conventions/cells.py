"""Text in the cells of MATLAB: references to arrays of letters, one for each cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from h5py import h5a, h5d, h5t

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset, dereferenced
from h5lightning.storage.scanning.stored_values import can_be_read, read_rows

__all__ = ["CellError", "cell_texts", "cells_shape", "holds_cells", "holds_letters"]

_CLASS, _EMPTY = b"MATLAB_class", b"MATLAB_empty"
_MOST_LETTERS = 4096
_UNITS = {1: "utf-8", 2: "utf-16-le", 4: "utf-32-le"}


class CellError(Exception):
    """A cell that holds no text, as the predicate of a sentence about the cells."""


def holds_cells(dataset: ScannedDataset) -> bool:
    """Whether a dataset is an array of cells."""
    info = dataset.info
    if _CLASS not in info.attributes or not info.did.get_type().equal(h5t.STD_REF_OBJ):
        return False
    return dataset.reader.text(info.did, _CLASS.decode()) == "cell"


def holds_letters(dataset: ScannedDataset) -> bool:
    """Whether a dataset holds the letters of text, as numbers in columns."""
    info = dataset.info
    return _CLASS in info.attributes and dataset.reader.text(info.did, _CLASS.decode()) == "char"


def cells_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of cells as rows: a list of cells has two axes in MATLAB, one of them of length 1.

    Example:
        >>> cells_shape((1, 5)), cells_shape((5, 1)), cells_shape((5, 2))
        ((5,), (5,), (5, 2))
    """
    return (math.prod(shape),) if len(shape) == 2 and 1 in shape else shape


def cell_texts(
    references: Iterable[object], owner: h5d.DatasetID, reader: ValueReader, first: int = 0
) -> Iterator[bytes]:
    """The text of each cell, in UTF-8; empty for an empty one.

    Args:
        references: the cells.
        owner: the dataset that holds them.
        reader: reads attributes.
        first: the number of the first cell, for messages.

    Raises:
        CellError: a cell holds something else.
    """
    for position, reference in enumerate(references, start=first):
        target = dereferenced(reference, owner)
        if target is None:
            raise CellError(f"has a cell [{position}] that refers to nothing")
        if h5a.exists(target, _EMPTY):
            yield b""
            continue
        info = DatasetInfo.of(target)
        kind = reader.text(target, _CLASS.decode())
        is_word = info.shape is not None and max(info.shape, default=1) == math.prod(info.shape)
        if kind != "char" or not is_word or not can_be_read(info) or np.dtype(info.element.dtype).kind != "u":
            raise CellError(
                f"has a cell [{position}] that holds {kind or 'no'} values, expected one line of text"
            )
        if math.prod(info.shape or ()) > _MOST_LETTERS:
            raise CellError(f"has a cell [{position}] with over {_MOST_LETTERS:,} letters")
        letters = read_rows(info, 0, info.shape[0] if info.shape else 1)
        units = letters.reshape(-1).astype(letters.dtype.newbyteorder("<"))
        yield units.tobytes().decode(_UNITS.get(units.itemsize, "utf-8"), "backslashreplace").encode()
