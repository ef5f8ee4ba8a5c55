"""What one field of one sample holds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from judging.options import FieldOption, SamplesOption
from judging.places import Array, OneSeries, Part, Sample
from judging.reading import join
from judging.stretches import stretches

if TYPE_CHECKING:
    from judging.contract import Contract

__all__ = ["time_axes", "value_of"]


def value_of(
    contract: Contract,
    field: FieldOption,
    sample: Sample,
    samples: SamplesOption,
    part: Part,
    taken: Array | None = None,
) -> Any:
    """See `Contract.value`."""
    one = contract.series[sample.series]
    if field.padding_of is not None:
        return _padding(contract, contract.fields[field.padding_of], sample, samples, part)
    if field.attr is not None:
        return contract.attribute_of(one, field)
    get = partial(contract.dataset, one.file, text=one.text)
    if field.index is not None:
        rows = None if field.constant else contract.rows_of(one)
        pieces = stretches(get, field, rows)
        if not field.constant:
            pieces = [pieces[one.start + sample.row]]
        values = [_finished(field, [get(path)[a:b] for path in field.paths], (0,)) for a, b in pieces]
        return values if field.constant else values[0]
    if field.constant:
        found = [get(path) for path in field.paths]
        axis = field.series_axis
        found = found if axis is None else [np.take(data, one.entry or 0, axis) for data in found]
        return _finished(field, found, ())
    found = [_box(contract, field, sample, samples, part, path, taken) for path in field.paths]
    rank = contract.dataset(one.file, field.paths[0], one.text).ndim
    return _finished(field, found, time_axes(contract, field, samples, rank))


def _finished(field: FieldOption, found: list[Array], time: tuple[int, ...]) -> Array:
    """Columns, joined, in the type that is asked for."""
    if field.members is not None:
        found = [data[name] for data in found for name in field.members]
    joined = join(found, field, time)
    return joined if field.dtype is None else joined.astype(field.dtype)


def time_axes(contract: Contract, field: FieldOption, samples: SamplesOption, rank: int) -> tuple[int, ...]:
    """The axes of a value that a window or a whole series has, of a dataset with so many axes."""
    if samples.kind == "rows":
        return ()
    axes, series_axis = contract.axes(field, samples, rank)
    return tuple(_without(axis, series_axis) for axis in axes)


def _without(axis: int, series_axis: int | None) -> int:
    return axis - 1 if series_axis is not None and axis > series_axis else axis


def _box(
    contract: Contract,
    field: FieldOption,
    sample: Sample,
    samples: SamplesOption,
    part: Part,
    path: str,
    taken: Array | None,
) -> Array:
    """The rows of a sample of one dataset, whose axes stay where they are."""
    one = contract.series[sample.series]
    data = contract.dataset(one.file, path, one.text)
    axes, series_axis = contract.axes(field, samples, data.ndim)
    if series_axis is not None:
        data = np.take(data, one.entry or 0, series_axis)
    axes = tuple(_without(axis, series_axis) for axis in axes)
    if samples.kind == "rows":
        return np.asarray(np.take(data, one.start + sample.row, axes[0]))
    if samples.kind == "whole":
        return np.take(data, one.start + _rows_of_whole(contract, field, one, samples, taken), axes[0])
    found = data
    every = _outside(contract, field, sample, samples, part)
    for axis, (places, _) in zip(axes, every, strict=True):
        found = np.take(found, places + one.start if axis == axes[0] else places, axis)
    if samples.pad == "zero":
        found = found.copy()
        for axis, (_, outside) in zip(axes, every, strict=True):
            found[(*[slice(None)] * axis, outside)] = np.zeros((), found.dtype)
    return found


def _rows_of_whole(
    contract: Contract, field: FieldOption, one: OneSeries, samples: SamplesOption, taken: Array | None
) -> Array:
    if samples.take is None:
        return np.arange(contract.limits(one, field, (0, one.rows))[1])
    return np.arange(min(one.rows, samples.take)) if taken is None else taken


def _outside(
    contract: Contract, field: FieldOption, sample: Sample, samples: SamplesOption, part: Part
) -> list[tuple[Array, Array]]:
    """Along each axis the places of a window, clipped, and which of them are padding."""
    one, found = contract.series[sample.series], []
    limits = [contract.limits(one, field, part), *((0, size) for size in contract.sizes(one, samples))]
    for number, (start, (first, last)) in enumerate(zip(sample.start, limits, strict=True)):
        steps = np.arange(samples.lengths[number])
        if number == 0:
            steps = samples.dilation * np.arange(*(field.steps or (0, samples.lengths[0])))
        wanted = start + steps
        found.append((np.clip(wanted, first, last - 1), (wanted < first) | (wanted >= last)))
    return found


def _padding(
    contract: Contract, field: FieldOption, sample: Sample, samples: SamplesOption, part: Part
) -> Array:
    """Which entries of a window are padding, along its axes in their order."""
    masks = [outside for _, outside in _outside(contract, field, sample, samples, part)]
    found = np.zeros(tuple(map(len, masks)), bool)
    for axis, mask in enumerate(masks):
        found[(*[slice(None)] * axis, mask)] = True
    return found
