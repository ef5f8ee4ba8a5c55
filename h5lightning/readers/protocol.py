"""The seam between the batch and the bytes: a reader puts rows into the caller's buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Reader", "RowSource"]

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RowSource:
    """What is read: one dataset, or one column of it, the same in all files.

    Args:
        path: path of the dataset in the file.
        member: column of a compound dataset, or None.
        dtype: NumPy type string of the stored elements, with the byte order.
        row_shape: shape of one row; of the whole dataset for `Reader.read_whole`.
    """

    path: str
    member: str | None
    dtype: str
    row_shape: tuple[int, ...]


class Reader(Protocol):
    """Reads rows of one dataset of one file into the caller's buffer.

    Ownership: ``out`` belongs to the caller; a reader writes to the slots it was given and keeps no reference.
    Concurrency: any thread may call, several at a time with different buffers. A reader holds no open file of
    its own, so that it may be pickled and forked.
    """

    def read_rows(
        self,
        file: str,
        source: RowSource,
        rows: Int64Array,
        out: npt.NDArray[Any],
        slots: Int64Array | None = None,
    ) -> None:
        """Put row ``rows[i]`` into ``out[slots[i]]``.

        Args:
            file: path of the file.
            source: what is read.
            rows: rows of the dataset, in any order, with repetitions, ``(N,)``.
            out: the buffer, ``(M, *row_shape)``, of the stored type in native byte order or of a wider or another
                floating type.
            slots: where each row belongs, ``(N,)``; None for ``arange(N)``.

        Raises:
            BadFileError: the file cannot be read.
            FileChangedError: the dataset is not the one that was scanned.
            IndexError: a row outside of the dataset.
        """

    def read_whole(self, file: str, source: RowSource, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``, ``(*row_shape)``.

        Raises:
            BadFileError: the file cannot be read.
            FileChangedError: the dataset is not the one that was scanned.
        """

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
