"""Arrays that are stored box by box, all boxes padded to one size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy.typing as npt

__all__ = ["boxes_along", "unpack_boxes"]


def boxes_along(shape: tuple[int, ...], box: tuple[int, ...]) -> tuple[int, ...]:
    """How many boxes cover an array, along each axis.

    Example:
        >>> boxes_along((3, 50), (1, 16))
        (3, 4)
    """
    return tuple(-(-length // part) for length, part in zip(shape, box, strict=True))


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
