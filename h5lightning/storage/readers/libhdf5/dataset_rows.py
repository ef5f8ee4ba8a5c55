"""One dataset of an open file: compared with the scan, and read by ranges of rows through h5py."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p, h5s, h5t
from typing_extensions import Self

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.errors import BadFileError, UnsupportedFieldError
from h5lightning.options import Access
from h5lightning.storage.hdf5.external import Sources
from h5lightning.storage.hdf5.external_values import RowSources
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.filters import plugin_problem
from h5lightning.storage.hdf5.open_dataset import open_dataset
from h5lightning.storage.hdf5.open_file import hdf5_reason
from h5lightning.storage.readers.checks import check_axes, check_rows, name_of
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowSlots
from h5lightning.storage.readers.decoded.decode_pool import Task
from h5lightning.storage.readers.libhdf5.chunk_validation import ChunkValidator
from h5lightning.storage.readers.libhdf5.element_types import has_numpy_type, types_of
from h5lightning.storage.readers.libhdf5.selections import give_back, take
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.records import RecordColumns

__all__ = ["MOST_JOINED", "DatasetRows", "holds_type"]

# Joining a row to a selection takes 1 µs, and more for each that it holds; h5py needs 15 µs for any number of rows.
MOST_JOINED = 16


@dataclass(frozen=True, slots=True, eq=False)
class DatasetRows:
    """A source in one open file, and a `ChunkRowDecoder` of it; any number of threads may read it.

    Args:
        shape: shape of the dataset; None if it holds no values.
        dtype: type of the stored elements, with their byte order; of a table, a field for each column that is read,
            named by its position.
        memory_type: the type that HDF5 delivers: `dtype`, or a compound of these columns.
        is_selectable: whether the rows lie one after the other in the file and h5py can select some of them, which
            takes a NumPy type for each column of a table.
        chunk_rows: rows of a chunk; None where no chunk must be decoded as a whole.
        validator: validates chunks before HDF5 decodes them; None where that is not needed.
        sources: the other files that its rows lie in; None if all lie in this file.

    Attributes:
        rows: rows of the dataset.
        row_shape: shape of one row.
        row_bytes: bytes of one row, decoded.
    """

    file: str
    source: DatasetColumn
    dataset: h5py.Dataset
    shape: tuple[int, ...] | None
    dtype: np.dtype[Any]
    memory_type: h5t.TypeID
    is_selectable: bool
    chunk_rows: int | None
    slots: ChunkRowSlots
    validator: ChunkValidator | None
    sources: RowSources | None
    rows: int = field(init=False)
    row_shape: tuple[int, ...] = field(init=False)
    row_bytes: int = field(init=False)
    _fits: bool = field(init=False)
    _did: h5d.DatasetID = field(init=False)

    def __post_init__(self) -> None:
        # Asked for in each batch, so found once.
        leading = self.source.leading
        shape = self.shape or (0,) * leading
        row_shape = shape[leading:]
        object.__setattr__(self, "rows", math.prod(shape[:leading]))
        object.__setattr__(self, "row_shape", row_shape)
        object.__setattr__(self, "row_bytes", math.prod(row_shape) * self.dtype.itemsize)
        fits = all((*row_shape, *shape) == column.row_shape for column, shape in self.columns())
        object.__setattr__(self, "_fits", fits)
        object.__setattr__(self, "_did", self.dataset.id)

    @classmethod
    def open(cls, file: h5py.File, path: str, source: DatasetColumn, access: Access) -> Self:
        """Open the dataset of a source.

        Args:
            file: the open file.
            path: where the file lies.
            source: what is read.
            access: where its values may lie, and how much memory they may take.

        Raises:
            BadFileError: HDF5 cannot open it.
            MissingFieldError: the file does not hold it.
            UnsupportedFieldError: it is no dataset, or its values may not or cannot be read.
            FileChangedError: its elements do not have the type that was scanned.
        """
        sources = Sources()
        dataset = open_dataset(file, path, source.path, access, sources)
        tid = dataset.id.get_type()
        dtype, memory_type = types_of(path, source, tid)
        layout = dataset.id.get_create_plist()
        if problem := plugin_problem(layout.get_filter(index)[0] for index in range(layout.get_nfilters())):
            raise UnsupportedFieldError(f"{name_of(path, source)} {problem}")
        shape = dataset.shape
        check_axes(path, source, shape)
        chunk_rows, count = cls.decoded_chunks(shape, layout)
        file_stamp = stamp(os.fstat(file.id.get_vfd_handle()))
        return cls(
            file=path,
            source=source,
            dataset=dataset,
            shape=shape,
            dtype=dtype,
            memory_type=memory_type,
            is_selectable=layout.get_layout() == h5d.CONTIGUOUS and has_numpy_type(tid, source),
            chunk_rows=chunk_rows,
            slots=ChunkRowSlots(
                count,
                ("h5py", path, file_stamp, source, shape, chunk_rows, sorted(sources.stamps.items())),
            ),
            validator=ChunkValidator.of(
                name_of(path, source),
                dataset,
                on_missing=access.on_missing,
                leading=cls.validated_axes(source, shape),
            ),
            sources=RowSources.of(dataset.id, sources) if sources.stamps else None,
        )

    @classmethod
    def decoded_chunks(cls, shape: tuple[int, ...] | None, layout: h5p.PropDCID) -> tuple[int | None, int]:
        """Rows of a chunk that must be decoded as a whole, and how many chunks lie one after the other; or None, 0."""
        if layout.get_layout() != h5d.CHUNKED or not layout.get_nfilters():
            return None, 0
        chunk_rows = int(layout.get_chunk()[0])
        return chunk_rows, -(-shape[0] // chunk_rows) if shape else 0

    @classmethod
    def validated_axes(cls, source: DatasetColumn, shape: tuple[int, ...] | None) -> int:  # noqa: ARG003
        """Axes along which chunks are validated one by one."""
        return source.leading

    def places_of(self, rows: Int64Array) -> Int64Array:
        """Where rows lie in the order of the chunks, ``(N,)``; see `LeadingAxes`."""
        return rows

    def columns(self) -> list[tuple[DatasetColumn, tuple[int, ...]]]:
        """Each column that is read, with the shape of one value; the source itself if it is no table."""
        if not isinstance(self.source, RecordColumns):
            return [(self.source, ())]
        return [(column, self.dtype[position].shape) for position, column in enumerate(self.source.columns)]

    def check_rows(self, first: int, last: int) -> None:
        """Raise unless the dataset has rows ``first`` to ``last``, of the scanned shape; see `checks.check_rows`."""
        if self._fits and first >= 0 and last < self.rows:
            return
        for column, value_shape in self.columns():
            shape = (self.rows, *self.row_shape) if self.shape else self.shape
            check_rows(self.file, column, shape, first, last, value_shape)

    def sources_of(self, rows: Int64Array) -> list[str]:
        """The other files that some rows lie in; ``rows`` ascending, ``(N,)``."""
        return [] if self.sources is None else self.sources.touched(rows)

    def read(self, reads: Iterable[tuple[int, int, npt.NDArray[Any]]]) -> None:
        """Read runs of rows, one after the other; each is complete before the next one is taken from ``reads``.

        Args:
            reads: first row, one past the last row, and the C-contiguous buffer of the stored type,
                ``(stop - start, *row_shape)``.

        Raises:
            BadFileError: HDF5 cannot read or decode them.
        """
        selections = take()
        in_file, row_shape = selections.fit_file(self.shape or ()), self.row_shape
        zeros = (0,) * len(row_shape)
        for start, stop, into in reads:
            shape = (stop - start, *row_shape)
            in_memory = selections.fit_memory(shape)
            if into.shape != shape:
                # HDF5 writes all that is selected, even past the end of a shorter buffer.
                raise ValueError(
                    f"{self.where}: rows {start} to {stop} need a buffer {shape}, found {into.shape}"
                )
            try:
                if self.validator is not None:
                    self.validator.validate(start, stop)
                in_file.select_hyperslab((start, *zeros), shape)
                self._did.read(in_memory, in_file, into, self.memory_type)
            except BadFileError:
                raise
            except (OSError, RuntimeError) as error:
                raise self.unreadable(f"rows {start} to {stop - 1}", error) from error
        give_back(selections)

    def read_each(self, rows: list[int], slots: list[int], out: npt.NDArray[Any], run: int) -> None:
        """Read entries one after the other, each straight into its slot.

        Args:
            rows: the first row of each entry; none of its rows lies outside of the dataset.
            slots: the slot of each.
            out: C-contiguous buffer of the stored type, ``(M, *entry_shape)``; see `ReadRequest`.
            run: rows of an entry.

        Raises:
            IndexError: a slot outside of the buffer.
            BadFileError: HDF5 cannot read or decode them.
        """
        entry_bytes = run * self.row_bytes
        entry_shape, zeros = (run, *self.row_shape), (0,) * len(self.row_shape)
        selections = take()
        in_file, in_memory = selections.fit_file(self.shape or ()), selections.fit_memory(entry_shape)
        read, memory_type, validator = self._did.read, self.memory_type, self.validator
        row = rows[0]
        try:
            for row, slot in zip(rows, slots, strict=True):
                if validator is not None:
                    validator.validate(row, row + run)
                entry = out[slot : slot + 1]
                if slot < 0 or entry.nbytes != entry_bytes:
                    # HDF5 writes all that is selected, even past the end of a shorter buffer.
                    raise IndexError(f"{self.where}: slot {slot} is out of bounds of a buffer {out.shape}")
                in_file.select_hyperslab((row, *zeros), entry_shape)
                read(in_memory, in_file, entry, memory_type)
        except BadFileError:
            raise
        except (OSError, RuntimeError) as error:
            raise self.unreadable(f"rows {row} to {row + run - 1}", error) from error
        give_back(selections)

    def tasks(self, chunk_rows: Sequence[tuple[int, Bytes]], parts: int) -> list[Task]:  # noqa: ARG002
        """See `ChunkRowDecoder.tasks`: one task, since HDF5 has one lock for all threads."""
        return [partial(self.read, [self._read_of(number, buffer) for number, buffer in chunk_rows])]

    def _read_of(self, number: int, buffer: Bytes) -> tuple[int, int, npt.NDArray[Any]]:
        height = self.chunk_rows or 1
        start = number * height
        stop = min(start + height, self.rows)
        into = buffer[: (stop - start) * self.row_bytes].view(self.dtype)
        return start, stop, into.reshape(stop - start, *self.row_shape)

    def read_scattered(self, rows: Int64Array) -> npt.NDArray[Any]:
        """Read scattered rows of contiguous layout in one call of HDF5, in less time than one by one.

        Args:
            rows: rows, strictly ascending, ``(N,)``.

        Returns:
            The rows in the stored type, ``(N, *row_shape)``.

        Raises:
            BadFileError: HDF5 cannot read them.
        """
        try:
            if not isinstance(self.source, RecordColumns):
                values: npt.NDArray[Any] = self.dataset[rows]
                return values
            names = [column.member for column in self.source.columns]
            records: npt.NDArray[Any] = self.dataset.fields(names)[rows]
        except (OSError, RuntimeError) as error:
            raise self.unreadable(f"rows {rows[0]} to {rows[-1]}", error) from error
        return records.view(self.dtype)

    def read_joined(self, rows: list[int], into: npt.NDArray[Any]) -> None:
        """Read a few rows in one call of HDF5.

        Args:
            rows: rows, strictly ascending.
            into: C-contiguous buffer of the stored type, ``(N, *row_shape)``.

        Raises:
            BadFileError: HDF5 cannot read or decode them.
        """
        shape, zeros, one = (len(rows), *self.row_shape), (0,) * len(self.row_shape), (1, *self.row_shape)
        if into.shape != shape:
            # HDF5 writes all that is selected, even past the end of a shorter buffer.
            raise ValueError(f"{self.where}: rows {rows} need a buffer {shape}, found {into.shape}")
        selections = take()
        in_file, in_memory = selections.fit_file(self.shape or ()), selections.fit_memory(shape)
        try:
            operation = h5s.SELECT_SET
            for row in rows:
                if self.validator is not None:
                    self.validator.validate(row, row + 1)
                in_file.select_hyperslab((row, *zeros), one, op=operation)
                operation = h5s.SELECT_OR
            self._did.read(in_memory, in_file, into, self.memory_type)
        except BadFileError:
            raise
        except (OSError, RuntimeError) as error:
            raise self.unreadable(f"rows {rows[0]} to {rows[-1]}", error) from error
        give_back(selections)

    def read_whole(self, into: npt.NDArray[Any]) -> None:
        """Read the whole dataset.

        Args:
            into: C-contiguous buffer of the stored type, ``(*shape)``.

        Raises:
            BadFileError: HDF5 cannot read it.
        """
        if self.shape is None or into.shape != self.shape:
            raise ValueError(f"{self.where} needs a buffer {self.shape}, found {into.shape}")
        if not into.size:
            return
        try:
            if self.validator is not None:
                self.validator.validate(0, self.rows)
            self._did.read(h5s.ALL, h5s.ALL, into, self.memory_type)
        except BadFileError:
            raise
        except (OSError, RuntimeError) as error:
            raise self.unreadable("its values", error) from error

    @property
    def where(self) -> str:
        """The dataset and its file, for errors."""
        return name_of(self.file, self.source)

    def unreadable(self, what: str, error: Exception) -> BadFileError:
        """The error of a part that HDF5 cannot read."""
        return BadFileError(
            f"{self.where}: {what} cannot be read: {hdf5_reason(error)}. The file is damaged, or a filter is "
            "not installed: 'h5lightning inspect' names the filters; if all of them are installed, copy the file again"
        )


def holds_type(out: npt.NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether HDF5 can read elements of a type straight into a buffer."""
    return bool(out.dtype == dtype and out.flags.c_contiguous)
