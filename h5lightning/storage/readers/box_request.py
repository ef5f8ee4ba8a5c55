"""Boxes of datasets that a reader is asked for: parts along all axes, such as crops of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array

__all__ = ["BoxRequest", "DatasetArray"]


@dataclass(frozen=True, slots=True)
class DatasetArray:
    """One dataset, or one column of it, of which boxes are read; the same in all files except for the lengths of axes.

    Args:
        path: path of the dataset in the file; it may hold a ``*``, see `SeriesParts`.
        member: column of a compound dataset, or None.
        dtype: NumPy type string of the stored elements, with the byte order.
        ndim: axes of the dataset, without those of the arrays in a column.
        element_shape: shape of one value of a column that holds arrays; ``()`` for all else.

    Raises:
        ValueError: an element shape without a column.
    """

    path: str
    member: str | None
    dtype: str
    ndim: int
    element_shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.element_shape and self.member is None:
            raise ValueError(
                f"'/{self.path}' is no column, but has the element shape {self.element_shape}: only the values of "
                "columns are arrays. Count their axes in ndim"
            )


@dataclass(frozen=True, slots=True, eq=False)
class BoxRequest:
    """Boxes of one dataset of several files: the box that begins at ``starts[i]`` goes to ``out[slots[i]]``.

    Args:
        source: what is read.
        borders: where the boxes of each file, or of each of the `SeriesParts`, begin, and the last ones end, ascending
            from 0, ``(files + 1,)``.
        starts: the first element of each box; those of one file in any order, with repetitions, ``(N, ndim)``.
        sizes: elements of a box along each axis, ``(ndim,)``.
        slots: the slot of each box in the buffer, no slot twice, ``(N,)``.
        out: the buffer, ``(M, *sizes, *element_shape)``, with any strides, of the stored type in native byte order or
            of a type that `conversions.buffer_dtype` allows. It may be a part of a larger array.
    """

    source: DatasetArray
    borders: Int64Array
    starts: Int64Array
    sizes: tuple[int, ...]
    slots: Int64Array
    out: npt.NDArray[Any]

    @property
    def counts(self) -> Int64Array:
        """Boxes of each file, ``(files,)``."""
        return self.borders[1:] - self.borders[:-1]

    @property
    def box_shape(self) -> tuple[int, ...]:
        """Shape of a box in the buffer."""
        return self.sizes + self.source.element_shape

    def of(self, files: Sequence[int]) -> BoxRequest:
        """The boxes of some of the files, given by their ascending numbers in this request."""
        borders = self.borders.tolist()
        parts = [slice(borders[file], borders[file + 1]) for file in files]
        which = np.concatenate([np.arange(0), *(np.arange(part.start, part.stop) for part in parts)])
        return replace(
            self,
            borders=np.cumsum([0, *(part.stop - part.start for part in parts)]),
            starts=self.starts[which],
            slots=self.slots[which],
        )
