"""From rows of encoded bytes as they were read to one `bytes` for each entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.planning.encoded_field import ByteForm
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.heap.read_heap import read_heap

__all__ = ["encoded_bytes"]


def encoded_bytes(
    pool: HandlePool,
    files: Sequence[str],
    file_of: Int64Array,
    form: ByteForm,
    rows: npt.NDArray[Any],
    describe: Callable[[int], str],
    *,
    most_bytes: int,
) -> list[bytes]:
    """The bytes of each entry of some rows, those of a row one after the other.

    Entries of fixed length end before the zeros at their end.

    Args:
        pool: the files.
        files: their paths; or `SeriesParts`.
        file_of: the file or part of each row, by its position in ``files``, ``(N,)``.
        form: how they store the bytes.
        rows: what was read, of the type and the shape of the form, ``(N, *row_shape)``.
        describe: the number of a row → the row, for errors.
        most_bytes: bytes of one entry, at most.

    Raises:
        BadFileError: a reference leads to no bytes.
    """
    entries = int(np.prod(form.shape, dtype=np.int64))
    if not form.is_in_heap:
        lengths = np.dtype(form.dtype).itemsize * (form.row_shape[-1] if form.shape != form.row_shape else 1)
        fixed = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).reshape(len(rows) * entries, lengths)
        return [_without_zeros(one) for one in fixed]
    return read_heap(
        pool,
        files,
        file_of.repeat(entries),
        rows.reshape(-1),
        lambda number: describe(number // entries),
        most_bytes=most_bytes,
    )


def _without_zeros(padded: Bytes) -> bytes:
    """Bytes without the zeros at their end."""
    is_zero = padded[::-1] == 0
    first = int(is_zero.argmin()) if len(is_zero) else 0
    stop = len(padded) - first if len(padded) and not is_zero[first] else 0
    return padded[:stop].tobytes()
