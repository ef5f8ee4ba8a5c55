"""What a reader does: it puts rows of datasets into the caller's buffers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array

__all__ = ["DatasetColumn", "ReadRequest", "Reader"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DatasetColumn:
    """One dataset, or one column of it, the same in all files.

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
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        # Looked up for each file of each batch.
        object.__setattr__(self, "_hash", hash((self.path, self.member, self.dtype, self.row_shape)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.member, self.dtype, self.row_shape)


@dataclass(frozen=True, slots=True, eq=False)
class ReadRequest:
    """Rows of one dataset of several files: row ``rows[i]`` goes to ``out[slots[i]]``.

    Args:
        source: what is read.
        borders: where the rows of each file begin, and the last ones end, ascending from 0, ``(files + 1,)``.
        rows: rows of the datasets; those of one file in any order, with repetitions, ``(N,)``.
        slots: the slot of each row in the buffer, no slot twice, ``(N,)``.
        out: the buffer, ``(M, *row_shape)``, of the stored type in native byte order or of a type that
            `conversions.buffer_dtype` allows: a wider one or another floating type.
    """

    source: DatasetColumn
    borders: Int64Array
    rows: Int64Array
    slots: Int64Array
    out: npt.NDArray[Any]

    @property
    def sizes(self) -> Int64Array:
        """Rows of each file, ``(files,)``."""
        return self.borders[1:] - self.borders[:-1]

    def of(self, files: Sequence[int]) -> ReadRequest:
        """The rows of some of the files, given by their ascending numbers in this request."""
        starts = self.borders[:-1].tolist()
        stops = self.borders[1:].tolist()
        parts = [slice(starts[file], stops[file]) for file in files]
        sizes = [part.stop - part.start for part in parts]
        return replace(
            self,
            borders=np.cumsum([0, *sizes]),
            rows=np.concatenate([self.rows[part] for part in parts]),
            slots=np.concatenate([self.slots[part] for part in parts]),
        )


class Reader(Protocol):
    """Reads rows of datasets into the caller's buffers.

    Ownership: buffers belong to the caller; a reader writes to the slots that it was given and keeps no reference.
    Concurrency: any number of threads may call at the same time, with different buffers. A reader may be pickled and
    forked: open files belong to each process.
    Copies: a copy has caches and open files for itself, even a shallow one.
    """

    def __copy__(self) -> Reader:
        return copy.deepcopy(self)

    def read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> None:
        """Fill the buffers of some requests.

        Args:
            files: paths of different files.
            requests: rows of these files; one request for each dataset.

        Raises:
            BadFileError: a file cannot be read.
            FileChangedError: a file or dataset is not the one that was scanned.
            IndexError: a negative row, or a slot outside of its buffer.
            FloatingPointError: a finite value would become infinite in the type of its buffer.
        """

    def read_rows(
        self,
        file: str,
        source: DatasetColumn,
        rows: Int64Array,
        out: npt.NDArray[Any],
        slots: Int64Array | None = None,
    ) -> None:
        """Put row ``rows[i]`` of one file into ``out[slots[i]]``, or into ``out[i]``; see `read`."""
        if slots is None:
            slots = np.arange(rows.size)
        self.read([file], [ReadRequest(source, np.asarray([0, rows.size]), rows, slots, out)])

    def prefetch(
        self, files: Sequence[str], requests: Sequence[ReadRequest], *, only_remote: bool, is_probe: bool
    ) -> bool:
        """Ask the system to fetch what `read` will need, without waiting: a disk is faster with several requests.

        It is a hint, which may do nothing. It ignores slots and buffers.

        Args:
            files: paths of different files.
            requests: what will be read of them.
            only_remote: fetch only from network file systems; others fetch enough around each row by themselves.
            is_probe: fetch nothing, and look only at the first row of each request in each file.

        Returns:
            Whether there is anything to fetch. A probe says so only of data that does not seem to be in the page cache.

        Raises:
            BadFileError: a file cannot be opened.
            FileChangedError: a file or dataset is not the one that was scanned.
        """

    def read_whole(self, file: str, source: DatasetColumn, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``, ``(*row_shape)``.

        Raises:
            BadFileError: the file cannot be read.
            FileChangedError: the dataset is not the one that was scanned.
        """

    def start_workers(self, count: int, start: Callable[[], T]) -> T:  # noqa: ARG002
        """Call ``start``, which starts ``count`` processes that read with this reader; they share what they decode."""
        return start()

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
