"""What a reader does: it puts rows of datasets into the caller's buffers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.star_paths import concrete
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.box_request import BoxRequest
from h5lightning.storage.readers.series_parts import SeriesParts

__all__ = ["DatasetColumn", "ReadRequest", "Reader", "SeriesParts"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DatasetColumn:
    """One dataset, or one column of it, the same in all files.

    Args:
        path: path of the dataset in the file; it may hold a ``*``, see `SeriesParts`.
        member: column of a compound dataset, or None.
        dtype: NumPy type string of the stored elements, with the byte order.
        row_shape: shape of one row; of the whole dataset for `Reader.read_whole`.
        leading: how many leading axes make the rows: 1; or 2 for data of shape ``(n, T, *row_shape)``, whose row
            ``i * T + t`` is time ``t`` of trajectory ``i``. No run of rows crosses a trajectory. With 0, there are no
            rows: boxes are read along all axes, and ``row_shape`` is that of one value.
    """

    path: str
    member: str | None
    dtype: str
    row_shape: tuple[int, ...]
    leading: int = 1
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        # Looked up for each file of each batch.
        key = self.path, self.member, self.dtype, self.row_shape, self.leading
        object.__setattr__(self, "_hash", hash(key))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.member, self.dtype, self.row_shape, self.leading)

    def at(self, text: str) -> DatasetColumn:
        """The same of the part in which the ``*`` matched a text."""
        return replace(self, path=concrete(self.path, text)) if "*" in self.path else self


@dataclass(frozen=True, slots=True, eq=False)
class ReadRequest:
    """Rows of one dataset of several files: row ``rows[i]`` goes to ``out[slots[i]]``.

    With a run length above 1, an entry is a run of consecutive rows: ``rows[i]`` is the first of them, and
    ``out[slots[i]]`` takes all of them. `by_row` makes of it a request for single rows.

    Args:
        source: what is read.
        borders: where the entries of each file, or of each of the `SeriesParts`, begin, and the last ones end,
            ascending from 0, ``(files + 1,)``.
        rows: first row of each entry; those of one file in any order, with repetitions, ``(N,)``.
        slots: the slot of each entry in the buffer, no slot twice, ``(N,)``.
        out: the buffer, ``(M, *entry_shape)``, of the stored type in native byte order or of a type that
            `conversions.buffer_dtype` allows: a wider one or another floating type. C-contiguous where entries are
            runs.
        run: rows of an entry, at least 1.
    """

    source: DatasetColumn
    borders: Int64Array
    rows: Int64Array
    slots: Int64Array
    out: npt.NDArray[Any]
    run: int = 1

    @property
    def sizes(self) -> Int64Array:
        """Entries of each file, ``(files,)``."""
        return self.borders[1:] - self.borders[:-1]

    @property
    def row_count(self) -> int:
        """How many rows it reads."""
        return len(self.rows) * self.run

    @property
    def entry_shape(self) -> tuple[int, ...]:
        """Shape of an entry: ``row_shape``, or ``(run, *row_shape)`` for a run of several rows."""
        row_shape = self.source.row_shape
        return row_shape if self.run == 1 else (self.run, *row_shape)

    def by_row(self) -> ReadRequest:
        """The same rows for the same places of the buffer, each as an entry of its own."""
        run = self.run
        if run == 1:
            return self
        steps = np.arange(run)
        return ReadRequest(
            self.source,
            self.borders * run,
            (self.rows[:, None] + steps).ravel(),
            (self.slots[:, None] * run + steps).ravel(),
            self.row_out,
        )

    @property
    def row_out(self) -> npt.NDArray[Any]:
        """The buffer with a slot for each row, ``(M * run, *row_shape)``."""
        if self.run == 1:
            return self.out
        return self.out.reshape(len(self.out) * self.run, *self.source.row_shape)

    def of(self, files: Sequence[int]) -> ReadRequest:
        """The entries of some of the files, given by their ascending numbers in this request."""
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

    @property
    def pool(self) -> HandlePool:
        """The open files of each process."""

    def read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> None:
        """Fill the buffers of some requests.

        Args:
            files: paths of different files; or `SeriesParts`, which put their texts in the place of the ``*`` in the
                paths of the sources.
            requests: rows of these files. Rows that several requests ask for are read, or decoded, once if that
                takes longer than copying them.

        Raises:
            BadFileError: a file cannot be read.
            FileChangedError: a file or dataset is not the one that was scanned.
            IndexError: a negative row, or a slot outside of its buffer.
            ValueError: a buffer whose entries do not have the shape of the request.
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

    def decode_ahead(self, files: Sequence[str], requests: Sequence[ReadRequest], *, reads: int) -> None:
        """Decode the chunks of some rows, so that a `read` that follows finds them decoded.

        It ignores slots and buffers, and does nothing for rows that are stored as they are. If the cache is full, the
        chunks take the place of those that were used longest ago.

        Args:
            files: paths of different files.
            requests: what will be read of them.
            reads: about how many calls of `read` come before; meanwhile, the cache keeps what was decoded.

        Raises:
            BadFileError: a file cannot be read.
            FileChangedError: a file or dataset is not the one that was scanned.
        """

    def read_boxes(self, files: Sequence[str], requests: Sequence[BoxRequest]) -> None:
        """Fill the buffers of some requests for boxes, ``out[slots[i]] = dataset[starts[i] : starts[i] + sizes]``.

        Args:
            files: paths of different files; or `SeriesParts`, see `read`.
            requests: boxes of these files. Each chunk that must be decoded is decoded once for all of them.

        Raises:
            BadFileError: a file cannot be read.
            FileChangedError: a file or dataset is not the one that was scanned; also if it ends before a box does.
            IndexError: a box begins before the first element, or a slot lies outside of its buffer.
            ValueError: a buffer whose entries do not have the shape of the boxes.
            FloatingPointError: a finite value would become infinite in the type of its buffer.
        """

    def prefetch_boxes(
        self, files: Sequence[str], requests: Sequence[BoxRequest], *, only_remote: bool, is_probe: bool
    ) -> bool:
        """Ask the system to fetch what `read_boxes` will need, without waiting; see `prefetch`.

        A probe looks only at the first box of each request in each file.
        """

    def read_whole(self, file: str | SeriesParts, source: DatasetColumn, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``, ``(*row_shape)``.

        Args:
            file: the path of the file, or one of the `SeriesParts`.
            source: the dataset or column.
            out: the buffer.

        Raises:
            BadFileError: the file cannot be read.
            FileChangedError: the dataset is not the one that was scanned.
        """

    def start_workers(self, count: int, start: Callable[[], T]) -> T:  # noqa: ARG002
        """Call ``start``, which starts ``count`` processes that read with this reader; they share what they decode."""
        return start()

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
