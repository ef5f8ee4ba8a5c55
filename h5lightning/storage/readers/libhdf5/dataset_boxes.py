"""One dataset of an open file of which boxes are read through h5py, along all its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.errors import BadFileError
from h5lightning.planning.values.conversions import assign
from h5lightning.storage.readers.box_pieces import ChunkGrid
from h5lightning.storage.readers.decoded.decode_pool import Task
from h5lightning.storage.readers.libhdf5.dataset_rows import DatasetRows, holds_type
from h5lightning.storage.readers.libhdf5.selections import Selections, give_back, take
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.records import RecordColumns

__all__ = ["DatasetBoxes"]


@dataclass(frozen=True, slots=True, eq=False)
class DatasetBoxes(DatasetRows):
    """A source of boxes in one open file; see `DatasetRows`.

    Attributes:
        grid: its chunks; one chunk if it is not chunked.
    """

    grid: ChunkGrid = field(init=False)

    def __post_init__(self) -> None:
        DatasetRows.__post_init__(self)  # a class with slots is made twice, and `super` knows the first one
        shape, layout = self.shape or (), self.dataset.id.get_create_plist()
        chunks = layout.get_chunk() if layout.get_layout() == h5d.CHUNKED else shape
        object.__setattr__(self, "grid", ChunkGrid(shape, tuple(chunks) if shape else ()))

    @classmethod
    def decoded_chunks(cls, shape: tuple[int, ...] | None, layout: h5p.PropDCID) -> tuple[int | None, int]:
        """See `DatasetRows.decoded_chunks`: each chunk is one row."""
        if not DatasetRows.decoded_chunks(shape, layout)[0]:
            return None, 0
        return 1, ChunkGrid(shape or (), tuple(layout.get_chunk())).count

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return self.grid.chunk_size * self.dtype.itemsize

    def elements(self, table: Bytes, field: str) -> npt.NDArray[Any]:
        """The elements of decoded chunks; see `put_decoded`."""
        chunks = table.view(self.dtype).reshape(len(table), *self.grid.chunks)
        return chunks[field] if field else chunks

    def tasks(self, chunk_rows: Sequence[tuple[int, Bytes]], parts: int) -> list[Task]:  # noqa: ARG002
        """See `DatasetRows.tasks`."""
        return [partial(self._read_chunks, chunk_rows)]

    def _read_chunks(self, chunk_rows: Sequence[tuple[int, Bytes]]) -> None:
        """Read chunks; those at the end of an axis as far as the dataset goes."""
        selections, chunks, shape = take(), self.grid.chunks, self.grid.shape
        for number, buffer in chunk_rows:
            origin = self.grid.origin(number)
            size = tuple(
                min(chunk, length - first) for chunk, length, first in zip(chunks, shape, origin, strict=True)
            )
            whole = buffer.view(self.dtype).reshape(chunks)
            into = whole if size == chunks else np.empty(size, self.dtype)
            self._read_box(selections, origin, size, into)
            if into is not whole:
                whole[tuple(map(slice, size))] = into
        give_back(selections)

    @classmethod
    def validated_axes(cls, source: DatasetColumn, shape: tuple[int, ...] | None) -> int:  # noqa: ARG003
        """See `DatasetRows.validated_axes`."""
        return len(shape or ())

    def sources_of_boxes(self, starts: Int64Array, sizes: tuple[int, ...]) -> list[str]:
        """The other files that some boxes lie in."""
        if self.sources is None:
            return []
        height = sizes[0] if sizes else 1
        first = starts[:, 0] if sizes else np.zeros(1, np.int64)
        return self.sources.touched(np.unique(np.unique(first)[:, None] + np.arange(height)))

    def read_boxes(
        self, starts: Int64Array, sizes: tuple[int, ...], slots: Int64Array, out: npt.NDArray[Any]
    ) -> None:
        """Read boxes one after the other, in the order of the file.

        Args:
            starts: the first element of each box; all of it lies inside of the dataset, ``(N, ndim)``.
            sizes: elements along each axis.
            slots: the slot of each box, inside of the buffer, ``(N,)``.
            out: the buffer, see `BoxRequest`.

        Raises:
            BadFileError: HDF5 cannot read or decode them.
            FloatingPointError: a finite value would become infinite in the type of its buffer.
        """
        # Neighbouring boxes find the chunks that HDF5 decoded last.
        order = np.lexsort(starts.T[::-1]) if sizes else np.arange(len(starts))
        staging: npt.NDArray[Any] | None = None
        selections = take()
        for start, slot in zip(starts[order].tolist(), slots[order].tolist(), strict=True):
            entry = out[slot, ...]
            if holds_type(entry, self.dtype) and not isinstance(self.source, RecordColumns):
                self._read_box(selections, tuple(start), sizes, entry)
                continue
            if staging is None:
                staging = np.empty(sizes, self.dtype)
            self._read_box(selections, tuple(start), sizes, staging)
            assign(out, slot, staging["0"] if isinstance(self.source, RecordColumns) else staging)
        give_back(selections)

    def _read_box(
        self, selections: Selections, start: tuple[int, ...], sizes: tuple[int, ...], into: npt.NDArray[Any]
    ) -> None:
        """Read one box into a C-contiguous buffer of its shape."""
        if not sizes:
            self.read_whole(into)
            return
        in_file, in_memory = selections.fit_file(self.shape or ()), selections.fit_memory(sizes)
        try:
            if self.validator is not None:
                self.validator.validate_box(start, sizes)
            in_file.select_hyperslab(start, sizes)
            self.dataset.id.read(in_memory, in_file, into, self.memory_type)
        except BadFileError:
            raise
        except (OSError, RuntimeError) as error:
            raise self.unreadable(f"the box of shape {sizes} at {start}", error) from error
