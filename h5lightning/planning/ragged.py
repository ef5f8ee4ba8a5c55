"""Samples of different shapes: how they are delivered, and which shapes their rows have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen

__all__ = ["Ragged", "RowShapes", "UnitValues"]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ragged:
    """How samples that may have different shapes are delivered.

    Args:
        mode: ``list``, ``stack``, ``pad`` or ``concat``; see `Field`.
        numbers: numbers of a sample, on average.
    """

    mode: str
    numbers: float


@dataclass(frozen=True, slots=True, eq=False)
class RowShapes(Frozen):
    """The shapes of the rows of a field, or of a constant, where units differ.

    Args:
        shapes: the distinct shapes, which have as many axes, ``(shapes, axes)``.
        of_unit: which of them each unit has, ``(units,)``.
    """

    shapes: Int64Array
    of_unit: Int64Array

    @classmethod
    def of(cls, each: Int64Array, units: Int64Array, count: int) -> RowShapes | None:
        """The shapes of some units, ``(units, axes)``, of ``count`` units in all; None if there is one shape."""
        shapes, which = np.unique(each, axis=0, return_inverse=True)
        if len(shapes) < 2:
            return None
        of_unit = np.zeros(count, np.int64)
        of_unit[units] = which.reshape(-1)
        return cls(shapes.astype(np.int64), of_unit)

    @property
    def common(self) -> tuple[int | None, ...]:
        """The length along each axis; None where it differs."""
        return tuple(
            int(lengths[0]) if (lengths == lengths[0]).all() else None for lengths in self.shapes.transpose()
        )

    def mean_numbers(self, units: Int64Array) -> float:
        """Numbers of a row, on average over some units."""
        return float(self.shapes.prod(axis=1)[self.of_unit[units]].mean())

    def shape_in(self, unit: int) -> Shape:
        """The shape in one unit."""
        return tuple(self.shapes[self.of_unit[unit]].tolist())


@dataclass(frozen=True, slots=True, eq=False)
class UnitValues(Frozen):
    """A value of its own shape for each unit, all in one flat array.

    Args:
        flat: the numbers of all distinct values, one after the other.
        starts: where each distinct value begins, ``(values,)``.
        shapes: their shapes, ``(values, axes)``.
        of_unit: the value of each unit, ``(units,)``.
    """

    flat: npt.NDArray[np.generic]
    starts: Int64Array
    shapes: Int64Array
    of_unit: Int64Array

    @property
    def mean_numbers(self) -> float:
        """Numbers of a value, on average."""
        return float(self.shapes.prod(axis=1)[self.of_unit].mean())
