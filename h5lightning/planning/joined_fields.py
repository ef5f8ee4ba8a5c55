"""Plans of fields that are made of several datasets or columns: how their values become one tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from h5lightning.errors import FieldError, OptionError
from h5lightning.options import Field, SingleField
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.fields import FieldSpec, JoinedField, RowField, StoredField, StoredForm
from h5lightning.planning.ragged import Ragged
from h5lightning.planning.values.conversions import delivery_dtype, wider_type

__all__ = ["JoinedShape", "joined_shape", "plan_joined"]

Shape = tuple[int, ...]
_INTEGERS = "biu"


class JoinedShape(NamedTuple):
    """The shape of joined values.

    Args:
        shape: their shape.
        axis: the axis along which they lie side by side.
        borders: where each of them begins along the axis, and the last one ends.
    """

    shape: Shape
    axis: int
    borders: tuple[int, ...]


def plan_joined(key: str, field: Field, plans: Sequence[StoredField]) -> JoinedField:
    """Plan a field from the plans of its parts, which are all rows or all constants.

    Raises:
        OptionError: whole numbers and floats, or other types of which none holds the values of all parts.
        FieldError: shapes that do not join.
    """
    parts = [plan.as_asked for plan in plans]
    joined = _joined(field.join, plans)
    if joined is None:
        raise FieldError(f"field {key!r}: {_unequal(field, parts, plans)}")
    dtype = _common_dtype(key, field, parts, plans)
    first = plans[0]
    has_steps = isinstance(first, RowField) and not isinstance(first, BoxField) and first.steps is not None
    steps = first.spec.shape[:1] if has_steps else ()
    if isinstance(first, BoxField) and None in first.spec.shape:
        raise FieldError(
            f"field {key!r}: whole series along another axis than the first, of different lengths, cannot be joined: "
            "make a field of each, and join them in a transform"
        )
    classes = {plan.spec.classes for plan in plans}
    spec = FieldSpec(
        (*steps, *joined.shape),
        dtype,
        classes.pop() if len(classes) == 1 else None,
        tuple(_channels(field, parts, joined)),
    )
    return JoinedField(
        key=key,
        path=parts[0].path,
        spec=spec,
        forms=(StoredForm(delivery_dtype(dtype).str),),
        parts=tuple(replace(plan, spec=replace(plan.spec, dtype=dtype)) for plan in plans),
        axis=len(steps) + joined.axis,
        borders=joined.borders,
        ragged=_ragged(plans, joined),
        categories=first.categories,
    )


def _ragged(plans: Sequence[StoredField], joined: JoinedShape) -> Ragged | None:
    """How joined samples are delivered, whose parts have as many rows."""
    first = plans[0].ragged
    if first is None:
        return None
    rows = first.numbers / max(1, math.prod(plans[0].row_shape))
    return Ragged(first.mode, rows * math.prod(joined.shape))


def _joined(join: str, plans: Sequence[StoredField]) -> JoinedShape | None:
    """How the values of fields are joined: rows; or whole samples, where rows do not come first."""
    shapes = [_joined_part(plan) for plan in plans]
    first = plans[0]
    if not isinstance(first, BoxField) or join != "concat":
        return joined_shape(join, shapes)
    # Never along an axis of the window: that is time.
    others = [axis for axis in range(len(shapes[0])) if axis not in first.window_axes]
    return joined_shape("concat" if others else "last", shapes, others[-1] if others else None)


def _joined_part(plan: StoredField) -> Shape:
    """The shape of what is joined: of a row; or of a whole sample, where rows do not come first."""
    return plan.sample_shape if isinstance(plan, BoxField) else plan.row_shape


def joined_shape(join: str, shapes: Sequence[Shape], concat_axis: int | None = None) -> JoinedShape | None:
    """How values of some shapes are joined; None if they do not fit.

    Args:
        join: see `Field`.
        shapes: the shape of one row of each, or of a whole constant.
        concat_axis: the axis of ``concat``; None for the last one.
    """
    least = min(map(len, shapes))
    if join == "concat" and least:
        axis = least - 1 if concat_axis is None else concat_axis
        full = list(shapes)
    else:
        axis = 0 if join == "first" else least
        full = [(*shape[:axis], 1, *shape[axis:]) if len(shape) == least else shape for shape in shapes]
    if join == "concat" and not least:
        full = [shape or (1,) for shape in shapes]
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in full}
    if len(others) > 1 or len(set(map(len, full))) > 1:
        return None
    borders = np.cumsum([0, *(shape[axis] for shape in full)]).tolist()
    return JoinedShape((*full[0][:axis], borders[-1], *full[0][axis + 1 :]), axis, tuple(borders))


def _unequal(field: Field, parts: Sequence[SingleField], plans: Sequence[StoredField]) -> str:
    """The first two parts that do not fit together, with their shapes, and what would."""
    pairs = ((i, j) for i in range(len(plans)) for j in range(i))
    i, j = next(
        (i, j)
        for i, j in pairs
        if _joined(field.join, [plans[j], plans[i]]) is None or _is_bridged(plans, i, j)
    )
    texts = [f"{_named(parts[k])} has the shape {_joined_part(plans[k])}" for k in (j, i)]
    rule = {
        "last": "join='last' needs one shape, or one more axis at the end for a dataset of several channels",
        "first": "join='first' needs one shape, or one more axis at the front for a dataset of several channels",
        "concat": "join='concat' needs shapes that differ along the last axis alone",
    }[field.join]
    what = "of the whole dataset" if field.constant else "of a row"
    return f"{texts[0]}, and {texts[1]} ({what}). {rule}: change join, or make a field of each"


def _is_bridged(plans: Sequence[StoredField], i: int, j: int) -> bool:
    """Whether two parts fit together, but not with the ones of fewest axes."""
    return abs(len(_joined_part(plans[i])) - len(_joined_part(plans[j]))) > 1


def _common_dtype(key: str, field: Field, parts: Sequence[SingleField], plans: Sequence[StoredField]) -> str:
    """The name of the type that holds the values of all parts."""
    names = [plan.spec.dtype for plan in plans]
    if len(set(names)) == 1:
        return names[0]
    dtypes = [delivery_dtype(name) for name in names]
    promoted = np.result_type(*dtypes)
    is_whole = {dtype.kind in _INTEGERS for dtype in dtypes}
    if len(is_whole) == 1 and (promoted.kind in _INTEGERS) == is_whole.pop():
        return str(promoted.name)
    first = next(i for i, dtype in enumerate(dtypes) if np.result_type(dtype, dtypes[0]) != dtypes[0])
    wider = wider_type(*(dtype.str for dtype in dtypes))
    raise OptionError(
        f"field {key!r}: {_named(parts[0])} is {names[0]} and {_named(parts[first])} is {names[first]}: one tensor has "
        f"one type. {field.text(dtype=wider)} chooses it"
    )


def _channels(field: Field, parts: Sequence[SingleField], joined: JoinedShape) -> Iterator[str]:
    """The name of each entry of the joined axis; a part that brings several of them numbers its own."""
    sizes = np.diff(joined.borders).tolist()
    for part, size in zip(parts, sizes, strict=True):
        name = part.path if part.member is None else part.member
        if part.member is not None and not isinstance(field.path, str):
            name = f"{part.path}/{part.member}"
        yield from [name] if size == 1 else (f"{name}[{number}]" for number in range(size))


def _named(part: SingleField) -> str:
    return f"'/{part.path}'" + (f" (column {part.member!r})" if part.member is not None else "")
