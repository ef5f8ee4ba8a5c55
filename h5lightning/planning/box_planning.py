"""Plans of fields whose samples are boxes: rows along any axis, and windows along several axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import OptionError, SchemaError
from h5lightning.options import Samples, SingleField, Windows
from h5lightning.planning.box_field import BoxField, sample_axes
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.fields import FieldPlan, FieldSpec, single_plans
from h5lightning.planning.ragged import Ragged
from h5lightning.planning.ragged_fields import BoxRunField
from h5lightning.planning.ragged_planning import FieldRows
from h5lightning.planning.row_numbers import AlongAxes
from h5lightning.planning.series.axes import row_numbers_of

__all__ = ["other_lengths", "plan_box"]

_TRAJECTORIES = (
    ". If each entry of axis 0 is a series of its own, such as a trajectory: series=Series(axis=0)"
)


def plan_box(
    compared: ComparedFiles,
    key: str,
    field: SingleField,
    samples: Samples,
    rows: FieldRows,
    options: Mapping[str, Any],
    delivered: tuple[str, tuple[str, ...] | None],
) -> BoxField:
    """Plan a field whose samples are boxes; its files were compared before.

    Args:
        compared: the files.
        key: the sample's key.
        field: the field, `with_positive_axes`.
        samples: how samples lie in a series.
        rows: the rows of its samples.
        options: arguments of `RowField`.
        delivered: the type in which it is delivered, and the names of its values.

    Raises:
        SchemaError: files differ in the length of an axis that no window lies along.
        OptionError: samples of one shape, of which the field says how they are delivered if they differ.
    """
    numbers = row_numbers_of(field)
    if not isinstance(numbers, AlongAxes):
        raise TypeError(f"field {key!r} has rows along the leading axes")
    first = compared.catalog.schema(int(compared.files[0])).dataset(field.path)
    _check_axes(compared, key, field, numbers, 0 if first is None else len(first.shape))
    windows = samples.lengths if isinstance(samples, Windows) else (1,)
    sizes = [] if first is None else list(first.shape)
    for axis, length in zip(numbers.axes, windows, strict=False):
        sizes[axis] = length
    sizes[numbers.axes[0]] = 1 if rows.steps is None else rows.steps[1] - rows.steps[0]
    if numbers.series_axis is not None:
        sizes[numbers.series_axis] = 1
    value = None if first is None else first.value(field.member)
    element = () if value is None else value.shape
    beside = tuple(size for axis, size in enumerate(sizes) if axis not in numbers.row_axes)
    kept = sample_axes(len(sizes), numbers, has_steps=rows.steps is not None)
    lengths: list[int | None] = [sizes[axis] for axis in kept]
    row_place = kept.index(numbers.axes[0]) if rows.steps is not None else None
    if row_place is not None and rows.count is None:
        lengths[row_place] = None
    options = {
        **options,
        "spec": FieldSpec((*lengths, *element), *delivered),
        "row_shape": beside + element,
        "row_numbers": numbers,
        "sizes": tuple(sizes),
        "element_shape": element,
        "ragged": _ragged(key, field, samples, rows, row_place, math.prod(beside + element)),
    }
    return BoxField(**options) if rows.runs is None else BoxRunField(**options, runs=rows.runs)


def _ragged(
    key: str, field: SingleField, samples: Samples, rows: FieldRows, row_place: int | None, row_numbers: int
) -> Ragged | None:
    """How samples of different lengths are delivered.

    Args:
        key: the sample's key.
        field: the field.
        samples: how samples lie in a series.
        rows: the rows of its samples.
        row_place: the axis of a sample along which they lie; None for samples of one row.
        row_numbers: numbers of one row.
    """
    mode = field.ragged
    if mode == "error":
        return None
    if isinstance(samples, Windows):
        raise OptionError(
            f"field {key!r}: ragged={mode!r} is for samples of different shapes, and all windows have one: remove "
            "ragged. Of datasets whose other axes differ between files, rows can lie along the first axis alone"
        )
    if mode == "concat" and rows.count is None and row_place:
        raise OptionError(
            f"field {key!r}: ragged='concat' puts samples one after the other along their first axis, and rows lie "
            f"along axis {field.axis}: {field.text(ragged='pad')} or {field.text(ragged='list')}"
        )
    return Ragged(mode, rows.mean * row_numbers)


def _check_axes(compared: ComparedFiles, key: str, field: SingleField, numbers: AlongAxes, axes: int) -> None:
    """Raise `SchemaError` if the length of an axis that no window lies along differs between units.

    Lengths of axis 0 are no part of layouts, and those of the others may differ where ``ragged`` says so.
    """
    catalog, files = compared.catalog, compared.files
    for axis in (axis for axis in range(axes) if axis not in numbers.free_axes):
        lengths = catalog.axis_lengths(field.path, axis)
        differs = files[lengths[files] != lengths[files[0]]]
        if differs.size:
            unit = int(differs[0])
            raise SchemaError(
                f"field {key!r}: '/{field.path}' in {catalog.where(unit)} has {lengths[unit]} entries along axis "
                f"{axis}, expected {lengths[files[0]]} as in {catalog.where(int(files[0]))}{catalog.more(differs)}. "
                f"With rows along another axis than 0, all files need one length along axis {axis}, whatever ragged "
                f"says: samples=Whole() delivers datasets of any shapes as they are{_TRAJECTORIES if axis == 0 else ''}"
            )


def other_lengths(
    catalog: Catalog, plans: Iterable[FieldPlan], samples: Samples, units: Int64Array
) -> Int64Array | None:
    """Entries of each unit along the axes of windows beside that of the rows, ``(units, axes)``.

    Args:
        catalog: the shapes of all datasets.
        plans: the fields.
        samples: how samples lie in a series.
        units: the units that have all fields, ascending.

    Returns:
        None for samples along one axis. For units that lack the fields, zeros.

    Raises:
        SchemaError: two fields differ in such a length, or no field has these axes.
    """
    if len(samples.axes) < 2:
        return None
    singles = single_plans(plans)
    boxes = [one for one in singles if isinstance(one, BoxField) and one.other_axes]
    if not boxes:
        raise SchemaError(f"samples.axis={samples.axis!r}: no field has windows along all of these axes")
    lengths = [
        np.stack([catalog.axis_lengths(box.path, axis) for axis in box.other_axes], axis=1) for box in boxes
    ]
    for box, own in zip(boxes[1:], lengths[1:], strict=True):
        differs = units[(own[units] != lengths[0][units]).any(axis=1)]
        if differs.size:
            unit = int(differs[0])
            raise SchemaError(
                f"in {catalog.where(unit)}, windows of {box.title} lie along axes of {own[unit].tolist()} entries, "
                f"those of {boxes[0].title} along axes of {lengths[0][unit].tolist()}{catalog.more(differs)}: the axes "
                "of one window need the same lengths in all fields. The axes of one field are Field(path, axis=(…))"
            )
    return np.maximum(lengths[0], 0)
