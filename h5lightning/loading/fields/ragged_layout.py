"""Where the values of samples of different shapes lie in one flat buffer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array

__all__ = ["RaggedLayout"]


@dataclass(frozen=True, slots=True, eq=False)
class RaggedLayout:
    """The shapes of some samples, and where the numbers of each begin.

    Args:
        shapes: the shape of each sample, ``(N, axes)``.
        starts: the first number of each, ``(N,)``.
        total: numbers of all samples.
        is_in_order: whether samples lie one after the other.
    """

    shapes: Int64Array
    starts: Int64Array
    total: int
    is_in_order: bool = True

    @classmethod
    def of(cls, shapes: Int64Array, groups: Int64Array | None = None) -> RaggedLayout:
        """Samples one after the other; with the number of the group of each, ``(N,)``, group after group."""
        sizes = shapes.prod(axis=1)
        if groups is None:
            ends = np.cumsum(sizes)
            return cls(shapes, ends - sizes, int(ends[-1]) if len(ends) else 0)
        order = np.argsort(groups, kind="stable")
        ends, starts = np.cumsum(sizes[order]), np.empty_like(sizes)
        starts[order] = ends - sizes[order]
        is_in_order = bool((order[1:] > order[:-1]).all())
        return cls(shapes, starts, int(ends[-1]) if len(ends) else 0, is_in_order)

    @classmethod
    def of_rows(cls, counts: Int64Array, row_shape: Sequence[int]) -> RaggedLayout:
        """Samples of rows of one shape; ``counts`` are the rows of each, ``(N,)``."""
        shapes = np.empty((len(counts), 1 + len(row_shape)), np.int64)
        shapes[:, 0] = counts
        shapes[:, 1:] = row_shape
        sizes = counts * math.prod(row_shape)
        ends = sizes.cumsum()
        return cls(shapes, ends - sizes, int(ends[-1]) if len(ends) else 0)

    @classmethod
    def of_one_shape(cls, samples: int, shape: Sequence[int]) -> RaggedLayout:
        """Samples of one shape."""
        return cls.of(np.tile(np.asarray(shape, np.int64), (samples, 1)))

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def sizes(self) -> Int64Array:
        """Numbers of each sample, ``(N,)``."""
        sizes: Int64Array = self.shapes.prod(axis=1)
        return sizes

    def sample_at(self, position: int) -> tuple[int, tuple[int, ...]]:
        """The sample that a number of the buffer belongs to, and its place in it."""
        sizes = self.sizes
        is_inside = (self.starts <= position) & (position < self.starts + sizes)
        sample = int(np.flatnonzero(is_inside)[0])
        place = np.unravel_index(position - int(self.starts[sample]), tuple(self.shapes[sample].tolist()))
        return sample, tuple(int(one) for one in place)
