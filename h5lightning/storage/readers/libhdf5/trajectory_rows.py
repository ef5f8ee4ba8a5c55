"""One dataset of an open file whose rows lie along its two leading axes, read by boxes; see `LeadingAxes`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.errors import BadFileError
from h5lightning.storage.readers.decoded.decode_pool import Task
from h5lightning.storage.readers.leading_axes import LeadingAxes, trajectory_parts
from h5lightning.storage.readers.libhdf5.dataset_rows import DatasetRows
from h5lightning.storage.readers.libhdf5.selections import Selections, give_back, take

__all__ = ["TrajectoryRows"]


@dataclass(frozen=True, slots=True, eq=False)
class TrajectoryRows(DatasetRows):
    """A source of shape ``(n, T, *row_shape)`` in one open file; see `DatasetRows`.

    Attributes:
        axes: its leading axes, with those of its chunks, or one chunk.
    """

    axes: LeadingAxes = field(init=False)

    def __post_init__(self) -> None:
        DatasetRows.__post_init__(self)  # a class with slots is made twice, and `super` knows the first one
        shape, layout = self.shape or (0, 0), self.dataset.id.get_create_plist()
        chunks = (
            layout.get_chunk() if layout.get_layout() == h5d.CHUNKED else [max(1, length) for length in shape]
        )
        object.__setattr__(self, "axes", LeadingAxes.of(shape, tuple(chunks)))

    @classmethod
    def decoded_chunks(cls, shape: tuple[int, ...] | None, layout: h5p.PropDCID) -> tuple[int | None, int]:
        """See `DatasetRows.decoded_chunks`."""
        if not DatasetRows.decoded_chunks(shape, layout)[0]:
            return None, 0
        axes = LeadingAxes.of(shape or (0, 0), layout.get_chunk())
        return axes.chunk_rows, axes.grid[0] * axes.grid[1]

    def places_of(self, rows: Int64Array) -> Int64Array:
        """See `DatasetRows.places_of`."""
        return self.axes.places_of(rows)

    def sources_of(self, rows: Int64Array) -> list[str]:
        """See `DatasetRows.sources_of`."""
        if self.sources is None:
            return []
        return self.sources.touched(np.unique(rows // max(1, self.axes.shape[1])))

    def read(self, reads: Iterable[tuple[int, int, npt.NDArray[Any]]]) -> None:
        """See `DatasetRows.read`."""
        selections = take()
        for start, stop, into in reads:
            self._read_rows(selections, start, stop, into)
        give_back(selections)

    def read_each(self, rows: list[int], slots: list[int], out: npt.NDArray[Any], run: int) -> None:
        """See `DatasetRows.read_each`."""
        selections = take()
        for row, slot in zip(rows, slots, strict=True):
            if not 0 <= slot < len(out):
                raise IndexError(f"{self.where}: slot {slot} is out of bounds of a buffer {out.shape}")
            entry = out[slot : slot + 1].reshape(run, *self.row_shape)
            self._read_rows(selections, row, row + run, entry)
        give_back(selections)

    def read_joined(self, rows: list[int], into: npt.NDArray[Any]) -> None:
        """See `DatasetRows.read_joined`."""
        self.read((row, row + 1, into[place : place + 1]) for place, row in enumerate(rows))

    def tasks(self, chunk_rows: Sequence[tuple[int, Bytes]], parts: int) -> list[Task]:  # noqa: ARG002
        """See `DatasetRows.tasks`."""
        return [partial(self._read_chunks, chunk_rows)]

    def _read_chunks(self, chunk_rows: Sequence[tuple[int, Bytes]]) -> None:
        """Fill chunk rows, each of which is one chunk along the leading axes, and some of others at its border."""
        selections = take()
        for number, buffer in chunk_rows:
            first, size = self.axes.box_of(number)
            whole = buffer.view(self.dtype).reshape(*self.axes.chunks, *self.row_shape)
            into = whole if size == self.axes.chunks else np.empty((*size, *self.row_shape), self.dtype)
            self._read_box(selections, first, size, into)
            if into is not whole:
                whole[: size[0], : size[1]] = into
        give_back(selections)

    def _read_rows(self, selections: Selections, start: int, stop: int, into: npt.NDArray[Any]) -> None:
        """Read a range of rows into a C-contiguous buffer, ``(stop - start, *row_shape)``."""
        if into.shape != (stop - start, *self.row_shape):
            # HDF5 writes all that is selected, even past the end of a shorter buffer.
            expected = (stop - start, *self.row_shape)
            raise ValueError(
                f"{self.where}: rows {start} to {stop} need a buffer {expected}, found {into.shape}"
            )
        done = 0
        for first, size in trajectory_parts(start, stop, self.axes.shape[1]):
            count = size[0] * size[1]
            self._read_box(selections, first, size, into[done : done + count])
            done += count

    def _read_box(
        self, selections: Selections, first: tuple[int, int], size: tuple[int, int], into: npt.NDArray[Any]
    ) -> None:
        """Read some steps of some trajectories into a C-contiguous buffer of as many elements."""
        zeros = (0,) * len(self.row_shape)
        in_file, in_memory = selections.fit_file(self.shape or ()), selections.fit_memory(into.shape)
        try:
            if self.validator is not None:
                self.validator.validate_box(first, size)
            in_file.select_hyperslab((*first, *zeros), (*size, *self.row_shape))
            self.dataset.id.read(in_memory, in_file, into, self.memory_type)
        except BadFileError:
            raise
        except (OSError, RuntimeError) as error:
            what = f"rows {first[1]} to {first[1] + size[1] - 1} of {first[0]} to {first[0] + size[0] - 1}"
            raise self.unreadable(what, error) from error
