"""What the computations of a group make of values: sums by channel, with what their masks leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.passes.block_reader import BlockValues
from h5lightning.planning.passes.field_groups import Computation
from h5lightning.planning.summaries.channels import by_channel, mask_by_channel
from h5lightning.planning.summaries.field_summary import FieldSummary, FieldSums

__all__ = ["GroupSums"]

Array = npt.NDArray[Any]


class GroupSums:
    """What the computations of a group make of the rows of a piece."""

    def __init__(self, computations: Sequence[Computation]) -> None:
        self._computations = computations
        self._sums = [FieldSums(one.form) for one in computations]

    def add(self, values: Mapping[str, BlockValues], ids: Int64Array) -> None:  # noqa: ARG002
        """Add the values of some rows."""
        for one, sums in zip(self._computations, self._sums, strict=True):
            own = values[one.plan.key]
            masks = [None] * len(own.arrays) if one.mask is None else _masks(own, values[one.mask.key])
            for array, mask in zip(own.arrays, masks, strict=True):
                _add(sums, one, array, mask)

    def add_shared(self, values: Mapping[str, BlockValues], weights: Int64Array) -> None:
        """Add values that count so often each."""
        for one, sums in zip(self._computations, self._sums, strict=True):
            (array,) = values[one.plan.key].arrays
            mask = None if one.mask is None else values[one.mask.key].arrays[0]
            each = len(by_channel(array, one.channels, one.per)) // len(array)
            _add(sums, one, array, mask, weights.repeat(each))

    def summaries(self) -> tuple[FieldSummary, ...]:
        """The summary of each computation."""
        return tuple(sums.summary() for sums in self._sums)


def _add(
    sums: FieldSums, one: Computation, array: Array, mask: Array | None, weights: Int64Array | None = None
) -> None:
    is_valid = None if mask is None else mask_by_channel(mask, array, one.channels, one.per)
    sums.add(by_channel(array, one.channels, one.per), is_valid, weights)


def _masks(values: BlockValues, mask: BlockValues) -> list[Array]:
    """The mask of each array of values."""
    if not mask.is_by_row:
        return [mask.arrays[0]] * len(values.arrays)
    if values.places is not None:
        (own,) = mask.arrays
        return [own[places] for places in values.places]
    # Windows along other axes: the mask of a row holds for all of its entries.
    return [
        own if len(own) == len(array) else own.repeat(len(array) // len(own), axis=0)
        for array, own in zip(values.arrays, mask.arrays, strict=True)
    ]
