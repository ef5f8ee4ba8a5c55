"""One dataset of an open file of which boxes are read through h5py, along all its axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5p

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import BadFileError
from h5lightning.planning.values.conversions import assign
from h5lightning.storage.readers.libhdf5.dataset_rows import DatasetRows, holds_type
from h5lightning.storage.readers.libhdf5.selections import Selections, give_back, take
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.records import RecordColumns

__all__ = ["DatasetBoxes"]


@dataclass(frozen=True, slots=True, eq=False)
class DatasetBoxes(DatasetRows):
    """A source of boxes in one open file; see `DatasetRows`, of which it has one row: the whole dataset."""

    @classmethod
    def decoded_chunks(
        cls,
        shape: tuple[int, ...] | None,  # noqa: ARG003
        layout: h5p.PropDCID,  # noqa: ARG003
    ) -> tuple[int | None, int]:
        """See `DatasetRows.decoded_chunks`: HDF5 keeps the chunks that it decodes."""
        return None, 0

    @classmethod
    def validated_axes(cls, source: DatasetColumn, shape: tuple[int, ...] | None) -> int:  # noqa: ARG003
        """See `DatasetRows.validated_axes`."""
        return len(shape or ())

    @property
    def value_shape(self) -> tuple[int, ...]:
        """Shape of one value: that of an array in a column, else ``()``."""
        ((_, shape),) = self.columns()
        return shape

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
