"""Which axes of a field's samples vary, and whether the field may be delivered so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array, distinct, flat_positions
from h5lightning.core.formatting import counted
from h5lightning.errors import FieldError, OptionError, SchemaError
from h5lightning.options import Field, Samples, SingleField, Windows
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.box_field import window_axes_of
from h5lightning.planning.catalog.row_index import RowIndex
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.fields import FieldPlan, FieldSpec, StoredForm
from h5lightning.planning.ragged import Ragged, RowShapes
from h5lightning.planning.ragged_fields import DerivedField
from h5lightning.planning.row_numbers import OfEntries
from h5lightning.planning.row_runs import EntryRuns, RowRuns, WholeRuns
from h5lightning.planning.series.axes import row_numbers_of
from h5lightning.planning.series.check_bounds import series_text

__all__ = ["FieldRows", "SampleShape", "entry_rows", "plan_derived", "ragged_of", "row_shapes", "whole_rows"]


@dataclass(frozen=True, slots=True, eq=False)
class SampleShape:
    """The shape of the samples of a field.

    Args:
        rows: lengths of the axes before those of a row: none, or one; None if samples differ in it.
        row_shape: shape of a row of one of the units.
        shapes: the shape of a row in each unit, where they differ.
        mean_rows: rows of a sample, on average.
    """

    rows: tuple[int | None, ...]
    row_shape: tuple[int, ...]
    shapes: RowShapes | None = None
    mean_rows: float = 1.0

    @property
    def lengths(self) -> tuple[int | None, ...]:
        """The length along each axis; None where samples differ in it."""
        return self.rows + (self.row_shape if self.shapes is None else self.shapes.common)

    def mean_numbers(self, units: Int64Array) -> float:
        """Numbers of a sample, on average over some units."""
        if self.shapes is None:
            return self.mean_rows * math.prod(self.row_shape)
        return self.mean_rows * self.shapes.mean_numbers(units)


@dataclass(frozen=True, slots=True, eq=False)
class FieldRows:
    """The rows of the samples of a field.

    Args:
        steps: as those of `RowField`; of samples with their own numbers of rows, all that the longest one has.
        count: rows of each sample; None if they differ.
        mean: rows of a sample, on average.
        runs: finds the rows of each sample; None if they are those of the steps.
    """

    steps: tuple[int, int] | None = None
    count: int | None = 1
    mean: float = 1.0
    runs: RowRuns | None = None

    @classmethod
    def of(cls, counts: Int64Array, runs: RowRuns | None) -> FieldRows:
        """Samples with so many rows, at least one sample."""
        most = int(counts.max())
        return cls((0, most), most if int(counts.min()) == most else None, float(counts.mean()), runs)


def row_shapes(compared: ComparedFiles, key: str, field: SingleField) -> RowShapes | None:
    """The shapes of the rows of a field whose files were compared; None if there is one shape."""
    catalog, files = compared.catalog, compared.files
    layouts, first, which = distinct(catalog.layout_of[files])
    if len(layouts) < 2 or field.ragged == "error":
        return None
    found = [compared.dataset(key, field, file).row_shape_of(field.member) for file in files[first].tolist()]
    return RowShapes.of(np.asarray(found, np.int64)[which], files, catalog.unit_count)


def whole_rows(
    compared: ComparedFiles,
    field: SingleField,
    take: int | None,
    lengths: Int64Array,
    extra: int | Int64Array,
) -> FieldRows:
    """The rows of each sample of a field, where a sample is a whole series.

    Args:
        compared: the files.
        field: the field.
        take: rows that are drawn of each series; None for all of them.
        lengths: rows of each unit of the catalog, without the extra rows of the field.
        extra: its rows beyond those; one number, or one for each unit.

    Raises:
        SchemaError: samples have different lengths, and the field does not say how they are delivered.
    """
    rows, where, units = _filled(compared, lengths)
    counts = rows + (extra if isinstance(extra, int) else extra[units])
    if take is not None:
        counts = np.minimum(rows, take)
    differs = np.flatnonzero(counts != counts[0])
    may_differ = field.ragged != "error"
    if differs.size and not may_differ:
        texts = [series_text(compared.catalog, int(where[place])) for place in (differs[0], 0)]
        of_all = (
            f"; {len(differs)} of {len(counts)} series differ"
            if compared.catalog.bounds is not None
            else compared.catalog.more(differs)
        )
        raise SchemaError(
            f"samples={'whole' if take is None else f'Whole(take={take})'!r}: {texts[0]} has {rows[differs[0]]} rows, "
            f"expected {counts[0]} as in {texts[1]}{of_all}. A batch holds samples of one length: use Windows(length), "
            f"or make the files equal; {field.text(ragged='list')} delivers a list of tensors, ragged='pad' or "
            "'concat' one tensor of them"
        )
    is_drawn = take is not None and bool((rows > take).any())
    runs = WholeRuns(row_numbers_of(field), extra, take) if is_drawn or may_differ else None
    return FieldRows.of(counts, runs)


def entry_rows(compared: ComparedFiles, key: str, field: SingleField, index: RowIndex) -> FieldRows:
    """The rows of each sample of a field, where a sample is an entry of an index.

    Raises:
        SchemaError: entries have different lengths, and the field does not say how they are delivered.
    """
    files = compared.files[index.counts[compared.files] > 0]
    first = np.unique(index.first[files], return_index=True)[1]  # units that share an index share its entries
    units = files[first]
    entries = flat_positions(index.first[units], index.counts[units])
    lengths = index.lengths[entries]
    differs = np.flatnonzero(lengths != lengths[:1])
    if differs.size and field.ragged == "error":
        places = [
            (int(lengths[place]), _entry_text(compared, index, units, place))
            for place in (0, int(differs[0]))
        ]
        texts = [f"{entry} has {counted(length, 'value')}" for length, entry in places]
        raise SchemaError(
            f"field {key!r}: '/{field.index}' divides '/{field.path}' into rows of different lengths: {texts[0]}, and "
            f"{texts[1]}. {field.text(ragged='list')} delivers a list of tensors, ragged='pad' or 'concat' one tensor "
            "of them"
        )
    return FieldRows.of(lengths, EntryRuns(OfEntries(index=index)))


def _entry_text(compared: ComparedFiles, index: RowIndex, units: Int64Array, place: int) -> str:
    """An entry for messages, by its place among those of some units."""
    ends = np.cumsum(index.counts[units])
    number = int(ends.searchsorted(place, side="right"))
    row = place - int(ends[number] - index.counts[units[number]])
    return f"row {row} of {compared.catalog.where(int(units[number]))}"


def ragged_of(
    compared: ComparedFiles, key: str, field: SingleField, samples: Samples | None, shape: SampleShape
) -> Ragged | None:
    """How the samples of a field are delivered; None if all have one shape, and the field says no more.

    Args:
        compared: the files.
        key: the field's key.
        field: the field.
        samples: how samples lie in a series; None where a field is the same for all samples of a unit.
        shape: the shape of its samples.

    Raises:
        OptionError: windows, which all have one length.
        FieldError: samples that cannot be put one after the other.
    """
    mode = field.ragged
    if mode == "error":
        return None
    if isinstance(samples, Windows) and shape.shapes is None:
        raise OptionError(
            f"field {key!r}: ragged={mode!r} is for samples of different shapes, and all windows have the shape "
            f"{shape.lengths}: remove ragged"
        )
    if mode == "concat":
        _check_concat(compared, key, field, shape)
    return Ragged(mode, shape.mean_numbers(compared.files))


def plan_derived(key: str, field: Field, plans: Mapping[str, FieldPlan]) -> DerivedField:
    """Plan the lengths or the padding of another field.

    Raises:
        OptionError: there is no such field, or its samples have none.
    """
    target = field.derived_from or ""
    plan = plans.get(target)
    if plan is None:
        raise OptionError(f"field {key!r}: '{field.path}' names no field{did_you_mean(target, plans)}")
    is_padding = field.padding_of is not None
    if plan.ragged is None:
        raise OptionError(
            f"field {key!r}: '{field.path}' needs samples of different lengths, but all samples of {target!r} have the "
            f"shape {plan.spec.shape}. If they differ in other files, add ragged={'pad' if is_padding else 'list'!r} "
            "to that field"
        )
    if is_padding and plan.ragged.mode != "pad":
        raise OptionError(
            f"field {key!r}: {target!r} has ragged={plan.ragged.mode!r}, so that nothing is padding: "
            f"'length:{target}' gives the lengths, ragged='pad' pads"
        )
    varying = [axis for axis, length in enumerate(plan.spec.shape) if length is None]
    if len(varying) > 1 or not plan.spec.shape:
        raise OptionError(
            f"field {key!r}: the samples of {target!r} have the shape {plan.spec.shape}: '{field.path}' tells of one "
            "axis, so that one must differ. In a transform, sizes can be an entry of their own"
        )
    axis = varying[0] if varying else next(iter(window_axes_of(plan)), 0)
    spec = FieldSpec((plan.spec.shape[axis],), "bool") if is_padding else FieldSpec((), "int64")
    forms = (StoredForm("|b1" if is_padding else "<i8"),)
    return DerivedField(
        key=key, path=str(field.path), spec=spec, forms=forms, of=target, axis=axis, is_padding=is_padding
    )


def _filled(compared: ComparedFiles, lengths: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The rows of each series that has some, its number, and its unit; a unit that is one series has its number."""
    bounds, files = compared.catalog.bounds, compared.files
    if bounds is None:
        filled = files[lengths[files] > 0]
        return lengths[filled], filled, filled
    is_used = np.zeros(len(bounds.counts), bool)
    is_used[files] = True
    filled = np.flatnonzero((bounds.rows > 0) & is_used[bounds.unit_of])
    if not filled.size:
        raise SchemaError(f"samples='whole': none of {len(bounds.rows)} series holds a row")
    return bounds.rows[filled], filled, bounds.unit_of[filled]


def _check_concat(compared: ComparedFiles, key: str, field: SingleField, shape: SampleShape) -> None:
    """Raise `FieldError` unless samples differ along their first axis alone."""
    if not shape.lengths:
        raise FieldError(
            f"field {key!r}: ragged='concat' puts samples one after the other along their first axis, and these are "
            "single numbers: remove ragged"
        )
    varying = [axis for axis, length in enumerate(shape.lengths) if length is None and axis]
    if not varying or shape.shapes is None:
        return
    axis = varying[0] - len(shape.rows)
    lengths = shape.shapes.shapes[shape.shapes.of_unit[compared.files], axis]
    other = int(compared.files[int(np.argmax(lengths != lengths[0]))])
    units = int(compared.files[0]), other
    texts = [f"{shape.shapes.shape_in(unit)} in {compared.catalog.where(unit)}" for unit in units]
    raise FieldError(
        f"field {key!r}: ragged='concat' puts samples one after the other along their first axis, and nothing else may "
        f"differ; '/{field.path}' has {'rows of ' if shape.rows else ''}shape {texts[0]}, and {texts[1]}: "
        f"{field.text(ragged='pad')} or {field.text(ragged='list')}"
    )
