"""Where samples begin: the grid of windows, and what may be drawn for each cell of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from judging.options import SamplesOption
from judging.places import OneSeries, Part

if TYPE_CHECKING:
    from judging.contract import Contract

__all__ = ["drawable_starts", "others_of", "starts_of"]


def starts_of(contract: Contract, one: OneSeries, samples: SamplesOption, part: Part) -> list[int]:
    """The first row of each sample of a part of a series."""
    first, stop = part
    if samples.kind == "rows":
        return list(range(first, stop))
    if samples.kind == "whole":
        return [0] if one.rows and part == (0, one.rows) else []
    # The grid begins where the first sample can: without padding, the rows before a window must be there.
    lowest = min([0, *(field.steps[0] for field in contract.rows_fields.values() if field.steps)])
    begin = 0 if samples.pad else -lowest * samples.dilation
    grid = [row for row in range(begin, one.rows, samples.strides[0]) if first <= row < stop]
    if samples.pad:
        return grid
    return [row for row in grid if all(_fits(contract, one, row, samples, part))]


def _fits(contract: Contract, one: OneSeries, row: int, samples: SamplesOption, part: Part) -> Iterable[bool]:
    yield row + (samples.lengths[0] - 1) * samples.dilation < part[1]
    for field in contract.rows_fields.values():
        begin, end = field.steps or (0, samples.lengths[0])
        first, stop = contract.limits(one, field, part)
        yield row + begin * samples.dilation >= first and row + (end - 1) * samples.dilation < stop


def others_of(samples: SamplesOption, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Where windows begin along the axes after the first one, the last one fastest."""
    if samples.kind != "windows":
        return [()]
    return list(
        itertools.product(
            *(
                range(0, size if samples.pad else size - length + 1, stride)
                for size, length, stride in zip(sizes, samples.lengths[1:], samples.strides[1:], strict=True)
            )
        )
    )


def drawable_starts(
    contract: Contract, one: OneSeries, samples: SamplesOption, part: Part, start: tuple[int, ...]
) -> list[list[int]]:
    """Along each axis, where the window of a cell may begin with ``jitter``."""
    row, stride = start[0], samples.strides[0]
    rows = [
        place
        for place in range(row, min(row + stride, part[1]))
        if samples.pad or all(_fits(contract, one, place, samples, part))
    ]
    found = [rows]
    more = zip(start[1:], samples.strides[1:], samples.lengths[1:], contract.sizes(one, samples), strict=True)
    for first, step, length, size in more:
        last = size if samples.pad else size - length + 1
        found.append(list(range(first, min(first + step, last))))
    return found
