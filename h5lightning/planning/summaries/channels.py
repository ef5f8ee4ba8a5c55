"""Numbers by channel: what of a row has statistics of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray

__all__ = ["by_channel", "channel_shape", "mask_by_channel"]

Shape = tuple[int, ...]
Array = npt.NDArray[Any]


def channel_shape(row_shape: tuple[int | None, ...], per: str) -> Shape:
    """The shape of the statistics of rows of a shape.

    An axis whose length varies, such as that of rows of unequal lengths, has no statistics of its own.

    Args:
        row_shape: the shape; None along an axis whose length varies.
        per: ``last``, ``first``, ``element`` or ``all``.

    Raises:
        ValueError: the channels vary.

    Example:
        >>> channel_shape((3, 64, 64), "first"), channel_shape((3, 64, 64), "last"), channel_shape((), "last")
        ((3,), (64,), ())
        >>> channel_shape((None,), "last")
        ()
    """
    if per == "all" or not row_shape or (per == "last" and row_shape[-1] is None):
        return ()
    chosen = {"last": row_shape[-1:], "first": row_shape[:1], "element": row_shape}[per]
    fixed = tuple(length for length in chosen if length is not None)
    if len(fixed) < len(chosen):
        raise ValueError(f"per={per!r} of rows of the shape {row_shape}")
    return fixed


def by_channel(values: Array, channels: Shape, per: str) -> Array:
    """Rows ``(N, *row_shape)`` as numbers of channels, ``(n, channels, m)``.

    Example:
        >>> by_channel(np.zeros((10, 3, 4, 5)), (3,), "first").shape
        (10, 3, 20)
        >>> by_channel(np.zeros((10, 3, 4, 5)), (5,), "last").shape
        (120, 5, 1)
    """
    count = math.prod(channels)
    if not channels:
        return values.reshape(-1, 1, 1)
    if per == "first":
        return values.reshape(len(values), count, -1) if values.size else values.reshape(0, count, 1)
    return values.reshape(-1, count, 1)


def mask_by_channel(mask: Array, values: Array, channels: Shape, per: str) -> BoolArray:
    """Which numbers count, as `by_channel` has them.

    Args:
        mask: what counts, bool or numbers other than 0: of the rows or of one for all of them, and of their leading
            axes, ``(N or 1, …)``.
        values: the rows.
        channels: the shape of the channels.
        per: see `channel_shape`.

    Raises:
        ValueError: the shapes do not fit.
    """
    is_chosen = mask.astype(np.bool_) if mask.dtype != np.bool_ else mask
    is_chosen = is_chosen.reshape(*mask.shape, *(1,) * (values.ndim - mask.ndim))
    return by_channel(np.broadcast_to(is_chosen, values.shape), channels, per)
