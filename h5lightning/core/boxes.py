"""Arrays that are stored box by box, all boxes padded to one size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["box_parts", "boxes_along", "unpack_boxes", "with_larger_elements"]

_Shape: TypeAlias = tuple[int, ...]
_Part: TypeAlias = tuple[slice, ...]


def boxes_along(shape: _Shape, box: _Shape) -> _Shape:
    """How many boxes cover an array, along each axis.

    Example:
        >>> boxes_along((3, 50), (1, 16))
        (3, 4)
    """
    return tuple(-(-length // part) for length, part in zip(shape, box, strict=True))


@lru_cache(maxsize=64)  # the files of a data set have few layouts
def box_parts(shape: _Shape, box: _Shape) -> Sequence[tuple[_Part, _Part]]:
    """For each box, in the order of the grid: which part of the array it holds, and where in the box that part is.

    Example:
        >>> box_parts((5,), (3,))
        [((slice(0, 3, None),), (slice(0, 3, None),)), ((slice(3, 5, None),), (slice(0, 2, None),))]
    """
    axes = [
        [
            (slice(start, min(start + part, length)), slice(0, min(part, length - start)))
            for start in range(0, length, part)
        ]
        for length, part in zip(shape, box, strict=True)
    ]
    return [
        (tuple(part for part, _ in parts), tuple(inside for _, inside in parts)) for parts in product(*axes)
    ]


@lru_cache(maxsize=64)
def with_larger_elements(
    shape: _Shape, box: _Shape, itemsize: int
) -> tuple[_Shape, _Shape, np.dtype[np.void]]:
    """The same array and boxes in elements as large as both allow: fewer of them are copied sooner.

    Args:
        shape: shape of the array, of one axis at least.
        box: shape of a box.
        itemsize: bytes of an element.

    Returns:
        Both shapes, and the type of their elements.

    Example:
        >>> with_larger_elements((3, 64), (1, 16), 4)
        ((3, 4), (1, 1), dtype('V64'))
    """
    joined = math.gcd(shape[-1], box[-1])
    element = np.dtype((np.void, joined * itemsize))
    return (*shape[:-1], shape[-1] // joined), (*box[:-1], box[-1] // joined), element


def unpack_boxes(boxes: npt.NDArray[Any], array: npt.NDArray[Any]) -> None:
    """Copy the elements of boxes to their places in an array.

    Args:
        boxes: C-contiguous, ``(*boxes along each axis, *shape of a box)``; see `boxes_along`. Those at the edges may
            reach past the array.
        array: all of it is written.

    Example:
        >>> array = np.empty(5, int)
        >>> unpack_boxes(np.arange(6).reshape(2, 3), array)
        >>> array
        array([0, 1, 2, 3, 4])
    """
    axes = array.ndim
    by_axis = [axis for pair in zip(range(axes), range(axes, 2 * axes), strict=True) for axis in pair]
    # One copy for all whole boxes, and one for each way in which the edges cut boxes off.
    for pieces in product(*map(_pieces, array.shape, boxes.shape[axes:])):
        which, within, place = zip(*pieces, strict=True)
        cut = boxes[which + within].transpose(by_axis)
        array[place].reshape(cut.shape)[...] = cut


def _pieces(length: int, part: int) -> Iterator[tuple[slice, slice, slice]]:
    """The parts of an axis: which boxes, which part of each, and where that is in the array."""
    whole = length // part
    if whole:
        yield slice(0, whole), slice(0, part), slice(0, whole * part)
    if length % part:
        yield slice(whole, whole + 1), slice(0, length % part), slice(whole * part, length)
