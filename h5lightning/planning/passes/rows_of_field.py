"""The plan of a field for reading its rows one after the other, whatever its samples are made of."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from h5lightning.options import FLOAT_DTYPES
from h5lightning.planning.box_field import BoxField, window_axes_of
from h5lightning.planning.fields import (
    FieldPlan,
    JoinedField,
    RowField,
    StoredField,
    row_field_of,
    single_plans,
)
from h5lightning.planning.joined_fields import plan_joined
from h5lightning.planning.ragged_fields import BoxRunField, RunField
from h5lightning.planning.row_runs import EntryRuns

__all__ = [
    "Block",
    "is_by_entry",
    "is_by_row",
    "row_shape_of",
    "rows_plan",
    "same_values",
    "with_stored_type",
]


@dataclass(frozen=True, slots=True)
class Block:
    """What is read of a field in one piece.

    Args:
        rows: rows that follow each other.
        others: for windows along several axes, the entries along each of the other ones, ``(axes,)``.
    """

    rows: int
    others: tuple[int, ...] = ()


def is_by_row(plan: FieldPlan) -> bool:
    """Whether each row has a value of its own."""
    return row_field_of(plan) is not None


def is_by_entry(plan: FieldPlan) -> bool:
    """Whether a row is an entry of an index, which has its own length."""
    first = row_field_of(plan)
    return isinstance(first, RunField) and isinstance(first.runs, EntryRuns)


def rows_plan(plan: FieldPlan, block: Block) -> FieldPlan:
    """The plan whose sample is a block of rows, without the padding, steps and draws of the samples of training.

    A field that is the same for many rows stays as it is, and so does one whose rows are entries of an index.
    """
    if not is_by_row(plan) or is_by_entry(plan):
        return plan
    if isinstance(plan, JoinedField):
        parts = [rows_plan(part, block) for part in plan.parts]
        asked = plan.parts[0].as_asked.whole
        if asked is None:
            raise TypeError(f"{plan.title} is made of a list, which its parts do not know")
        return plan_joined(plan.key, asked, [part for part in parts if isinstance(part, StoredField)])
    assert isinstance(plan, RowField)
    return _rows_of(plan, block)


def _rows_of(plan: RowField, block: Block) -> RowField:
    row_shape = row_shape_of(plan)
    if isinstance(plan, (RunField, BoxRunField)):
        kind = BoxField if isinstance(plan, BoxRunField) else RowField
        plan = kind(**{item.name: getattr(plan, item.name) for item in fields(kind)})
    options: dict[str, Any] = {"steps": (0, block.rows), "dilation": 1, "extra_rows": 0}
    if isinstance(plan, BoxField):
        sizes = list(plan.sizes)
        for axis, length in zip(plan.row_numbers.axes, (block.rows, *block.others), strict=False):
            sizes[axis] = length
        whole = replace(plan, **options, sizes=tuple(sizes), ragged=None)
        return replace(whole, spec=replace(plan.spec, shape=whole.sample_shape))
    spec = replace(plan.spec, shape=(block.rows, *row_shape))
    return replace(plan, **options, spec=spec, ragged=None if plan.shapes is None else plan.ragged)


def row_shape_of(plan: FieldPlan) -> tuple[int | None, ...]:
    """The shape of a row: that of a sample without the axes of its window; None along an axis whose length varies."""
    gone = window_axes_of(plan)
    return tuple(length for axis, length in enumerate(plan.spec.shape) if axis not in gone)


def with_stored_type(plan: FieldPlan) -> FieldPlan:
    """The plan that delivers the stored numbers as they are, and decoded ones in float64: nothing is rounded."""
    if isinstance(plan, JoinedField):
        is_whole = plan.spec.dtype not in FLOAT_DTYPES
        parts = tuple(part if is_whole else _delivered(part, "float64") for part in plan.parts)
        return replace(plan, parts=parts)
    if not isinstance(plan, StoredField) or plan.spec.classes is not None:
        return plan
    if plan.is_decoded:
        return _delivered(plan, "float64")
    stored = np.result_type(*(np.dtype(form.dtype) for form in plan.forms))
    return _delivered(plan, stored.newbyteorder("=").name) if stored.kind in "fiub" else plan


def _delivered(plan: StoredField, dtype: str) -> StoredField:
    return replace(plan, spec=replace(plan.spec, dtype=dtype))


def same_values(plan: FieldPlan) -> tuple[object, ...]:
    """Equal for two fields whose rows have the same values, such as two windows of one dataset."""
    asked = [
        part.as_asked.text(steps=None, ragged="error", dtype=None)
        if isinstance(part, StoredField)
        else part.key
        for part in single_plans([plan])
    ]
    return (type(plan).__name__, *asked, plan.spec.dtype, plan.spec.classes)
