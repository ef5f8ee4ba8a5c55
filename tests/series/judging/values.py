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

__all__ = ["joined_axes", "outside", "row_value", "time_axes", "value_of"]


def value_of(
    contract: Contract,
    key: str,
    sample: Sample,
    samples: SamplesOption,
    part: Part,
    taken: Array | None = None,
) -> Any:
    """See `Contract.value`."""
    field, one = contract.fields[key], contract.series[sample.series]
    if field.padding_of is not None:
        return _padding(contract, contract.fields[field.padding_of], sample, samples, part)
    if field.attr is not None:
        found = contract.attribute_of(one, field)
        return found if field.categories is None else contract.vocabularies.numbers(field, found)
    if field.table_column is not None:
        return _column(contract, field, sample, samples, part, taken)
    if field.index is not None:
        pieces = _pieces(contract, field, sample)
        values = [
            _scaled(contract, key, _finished(contract, field, piece, (0,)), (0,), is_row=True)
            for piece in pieces
        ]
        return values if field.constant else values[0]
    if field.constant:
        found = [contract.files.seen_by(field, one.file, path, one.text) for path in field.paths]
        axis = field.series_axis
        found = found if axis is None else [np.take(data, one.entry or 0, axis) for data in found]
        return _finished(contract, field, found, ())
    found, rank = _boxes(contract, field, sample, samples, part, taken)
    time = time_axes(contract, field, samples, rank)
    value = _scaled(contract, key, _finished(contract, field, found, time), time)
    if samples.kind != "windows" or samples.pad != "zero":
        return value
    masks = [_mask(data.shape, time, outside(contract, field, sample, samples, part)) for data in found]
    masks = [mask for mask in masks for _ in field.members or (None,)]
    return np.where(join(masks, field, time), np.zeros((), value.dtype), value)


def _column(
    contract: Contract,
    field: FieldOption,
    sample: Sample,
    samples: SamplesOption,
    part: Part,
    taken: Array | None,
) -> Array:
    """A column of the table, of a series or of the rows of a sample."""
    one, column, padding = contract.series[sample.series], field.table_column or "", None
    rows: Any = sample.row
    if samples.kind == "whole":
        rows = _rows_of_whole(contract, field, one, samples, taken)
    elif samples.kind == "windows":
        rows, padding = outside(contract, field, sample, samples, part)[0]
    assert contract.table is not None
    found = contract.table.values(one, column, rows)
    if field.categories is not None:
        value = contract.vocabularies.numbers(field, found)
    else:
        value = found.astype(str).astype(field.dtype or contract.table.table.type_of(column))
    if samples.pad == "zero" and value.ndim:
        value[padding] = 0
    return value


def row_value(contract: Contract, field: FieldOption, sample: Sample, *, coded: bool = True) -> Any:
    """What a field holds at a row, not normalised.

    Args:
        contract: what the case means.
        field: with rows.
        sample: the row.
        coded: the numbers of categories, in place of what they stand for.
    """
    if field.index is not None:
        return _finished(contract, field, _pieces(contract, field, sample)[0], (0,), coded=coded)
    samples = SamplesOption(axis=contract.any_samples.axis)
    found, _ = _boxes(contract, field, sample, samples, (0, contract.series[sample.series].rows), None)
    return _finished(contract, field, found, (), coded=coded)


def _pieces(contract: Contract, field: FieldOption, sample: Sample) -> list[list[Array]]:
    """The rows of a field with an index, of each dataset; all of them of a constant one."""
    one = contract.series[sample.series]
    get = partial(contract.files.get, one.file, text=one.text)
    pieces = stretches(get, field, None if field.constant else contract.rows_of(one))
    if not field.constant:
        pieces = [pieces[one.start + sample.row]]
    return [[get(path)[a:b] for path in field.paths] for a, b in pieces]


def _boxes(
    contract: Contract,
    field: FieldOption,
    sample: Sample,
    samples: SamplesOption,
    part: Part,
    taken: Array | None,
) -> tuple[list[Array], int]:
    """The rows of each dataset of a field, and how many axes the first one has."""
    one = contract.series[sample.series]
    found = [_box(contract, field, sample, samples, part, path, taken) for path in field.paths]
    return found, contract.files.seen_by(field, one.file, field.paths[0], one.text).ndim


def _finished(
    contract: Contract, field: FieldOption, found: list[Array], time: tuple[int, ...], *, coded: bool = True
) -> Array:
    """Columns, joined, as numbers of categories, in the type that is asked for."""
    if field.members is not None and field.categories is None:
        found = [data[name] for data in found for name in field.members]
    joined = join(found, field, time)
    if field.categories is not None:
        return contract.vocabularies.numbers(field, joined) if coded else joined
    return joined if field.dtype is None else joined.astype(field.dtype)


def _scaled(
    contract: Contract, key: str, value: Array, time: tuple[int, ...], *, is_row: bool = False
) -> Array:
    """Normalised, if it is asked for and statistics are known."""
    statistics = contract.statistics.get(key)
    if statistics is None:
        return value
    if is_row:
        return statistics.apply(value, ())
    return statistics.apply(value, joined_axes(contract.fields[key], time))


def joined_axes(field: FieldOption, time: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a window after its parts were joined: channels come before them where they do not come first."""
    moved = field.is_list and field.join == "first" and any(time)
    return tuple(axis + moved for axis in time)


def _mask(shape: tuple[int, ...], time: tuple[int, ...], every: list[tuple[Array, Array]]) -> Array:
    """Which elements of a window are padding."""
    found = np.zeros(shape, bool)
    for axis, (_, padding) in zip(time, every, strict=True):
        place: Any = (*[slice(None)] * axis, padding)
        found[place] = True
    return found


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
    data = contract.files.seen_by(field, one.file, path, one.text)
    axes, series_axis = contract.axes(field, samples, data.ndim)
    if series_axis is not None:
        data = np.take(data, one.entry or 0, series_axis)
    axes = tuple(_without(axis, series_axis) for axis in axes)
    if samples.kind == "rows":
        return np.asarray(np.take(data, one.start + sample.row, axes[0]))
    if samples.kind == "whole":
        return np.take(data, one.start + _rows_of_whole(contract, field, one, samples, taken), axes[0])
    found = data
    every = outside(contract, field, sample, samples, part)
    for axis, (places, _) in zip(axes, every, strict=True):
        found = np.take(found, places + one.start if axis == axes[0] else places, axis)
    return found


def _rows_of_whole(
    contract: Contract, field: FieldOption, one: OneSeries, samples: SamplesOption, taken: Array | None
) -> Array:
    if samples.take is None:
        return np.arange(contract.limits(one, field, (0, one.rows))[1])
    return np.arange(min(one.rows, samples.take)) if taken is None else taken


def outside(
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
    masks = [outside for _, outside in outside(contract, field, sample, samples, part)]
    found = np.zeros(tuple(map(len, masks)), bool)
    for axis, mask in enumerate(masks):
        place: Any = (*[slice(None)] * axis, mask)
        found[place] = True
    return found
