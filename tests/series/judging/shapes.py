"""Which shapes the samples of a field have, and whether the contract lets them differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from judging.divisions import RefusedError
from judging.options import FieldOption, SamplesOption
from judging.places import Array, Sample
from judging.reading import join
from judging.values import time_axes

if TYPE_CHECKING:
    from judging.contract import Contract

__all__ = ["check_shapes"]

Shape = tuple[int, ...]


def check_shapes(contract: Contract) -> dict[str, int]:
    """The axis that lengths and padding of each key speak of: the one that differs, else that of rows.

    Raises:
        RefusedError: shapes differ where they may not.
    """
    found, is_whole = dict[str, int](), contract.any_samples.kind == "whole"
    several, fixed = set[str](), set[str]()  # not one axis to tell of; one length, whatever the data are
    for key, field in contract.fields.items():
        if field.constant and field.index is not None:
            for number in range(len(contract.series)):
                contract.value(key, Sample(number, 0), contract.any_samples, (0, 1))
            continue
        if field.derived_from is not None:
            continue
        sets = list(_shapes(contract, key, field))
        differing = sorted({axis for shapes in sets for axis in _check_field(field, shapes)})
        row_axis = _row_axis(contract, field)
        if row_axis and set(differing) - ({row_axis} if is_whole else set()):
            raise RefusedError("rows along another axis than the first one, whose other axes differ")
        if field.is_list and field.index is None and set(differing) - ({row_axis} if is_whole else set()):
            raise RefusedError("a list of datasets whose rows differ")
        if row_axis and differing and field.is_list:
            raise RefusedError("whole series along another axis than the first one, joined")
        found[key] = differing[0] if differing else row_axis if is_whole else 0
        every = set(differing) | _differing_beside(contract, field)
        several |= {key} if len(every) > 1 or () in set().union(*sets) else set()
        fixed |= {key} if field.ragged == "error" else set()
    for field in contract.fields.values():
        if field.derived_from in several and contract.fields[field.derived_from].ragged != "error":
            raise RefusedError("lengths along several axes, or none")
    _check_bucket(contract, several | fixed)
    return found


def _differing_beside(contract: Contract, field: FieldOption) -> set[int]:
    """The axes beside that of rows along which whole series differ, those without rows among them."""
    if contract.any_samples.kind != "whole" or not field.has_rows:
        return set()
    rows, every = SamplesOption(axis=contract.any_samples.axis), range(len(contract.series))
    shapes = {_fixed_shape(contract, number, field, rows) for number in every}
    found = {place for place, sizes in enumerate(zip(*shapes, strict=False)) if len(set(sizes)) > 1}
    return {place + (place >= _row_axis(contract, field)) for place in found}


def _row_axis(contract: Contract, field: FieldOption) -> int:
    """The axis of rows in the data of one series."""
    if not field.has_rows or field.index is not None:
        return 0
    one = contract.series[0]
    rank = contract.files.get(one.file, field.paths[0], one.text).ndim
    axes, series_axis = contract.axes(field, contract.any_samples, rank)
    return axes[0] - (series_axis is not None and series_axis < axes[0])


def _check_bucket(contract: Contract, without: set[str]) -> None:
    """Samples can be sorted by lengths that may differ, along one axis."""
    shuffle = contract.case.options.get("shuffle")
    bucket = shuffle.get("bucket", "") if isinstance(shuffle, dict) else ""
    if bucket.startswith("length:") and bucket.removeprefix("length:") in without:
        raise RefusedError("buckets of lengths that never differ, or that differ along several axes")


def _check_field(field: FieldOption, shapes: set[Shape]) -> list[int]:
    """The axes along which shapes differ."""
    if len({len(shape) for shape in shapes}) > 1:
        raise RefusedError("shapes with different numbers of axes")
    differing = [axis for axis, sizes in enumerate(zip(*shapes, strict=True)) if len(set(sizes)) > 1]
    if differing and field.ragged == "error":
        raise RefusedError("samples of different shapes")
    if field.ragged == "concat" and (set(differing) - {0} or () in shapes):
        raise RefusedError("only samples that differ along their first axis can follow each other")
    return differing


def _shapes(contract: Contract, key: str, field: FieldOption) -> Iterator[set[Shape]]:
    """The shapes of samples that are compared: of windows, each stage has its own."""
    if contract.table is not None and field.table_column is not None:
        yield {()}  # of a row or a series
        return
    if not field.has_rows:
        every = range(len(contract.series))
        yield {contract.value(key, Sample(number, 0), contract.any_samples, (0, 1)).shape for number in every}
        return
    every_stage = set(contract.case.stage_samples.values())
    yield from (set(_row_shapes(contract, key, field, samples)) for samples in every_stage)


def _row_shapes(contract: Contract, key: str, field: FieldOption, samples: SamplesOption) -> Iterator[Shape]:
    for number, one in enumerate(contract.series):
        part = (0, one.rows)
        if samples.kind == "whole" and one.rows:
            yield contract.value(key, Sample(number, 0), samples, part).shape
        elif field.index is not None:
            for row in range(one.rows):
                yield contract.value(key, Sample(number, row), samples, part).shape
        elif samples.kind != "whole":
            yield _fixed_shape(contract, number, field, samples)


def _fixed_shape(contract: Contract, series: int, field: FieldOption, samples: SamplesOption) -> Shape:
    """The shape of each sample of a series whose rows are alike."""
    one, found = contract.series[series], list[Array]()
    time: tuple[int, ...] = ()
    for path in field.paths:
        data = contract.files.seen_by(field, one.file, path, one.text)
        axes, series_axis = contract.axes(field, samples, data.ndim)
        shape = list(data.shape)
        first, stop = field.steps or (0, samples.lengths[0])
        for axis, length in zip(axes, (stop - first, *samples.lengths[1:]), strict=True):
            shape[axis] = length
        gone = {series_axis, axes[0] if samples.kind == "rows" else None}
        found.append(np.empty([size for axis, size in enumerate(shape) if axis not in gone], data.dtype))
        time = time_axes(contract, field, samples, data.ndim)
    if field.members is not None and field.categories is None:
        found = [data[name] for data in found for name in field.members]
    return join(found, field, time).shape
