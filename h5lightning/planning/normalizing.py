"""How the numbers of a field are normalised: by which shift and scale, along which axes, and to which type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import BoolArray, Float64Array
from h5lightning.core.frozen import Frozen
from h5lightning.errors import FieldError, OptionError
from h5lightning.options import FLOAT_DTYPES, Normalize
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.box_field import window_axes_of
from h5lightning.planning.encoded_field import BYTES, encoded_of
from h5lightning.planning.fields import (
    FieldPlan,
    Fields,
    JoinedField,
    PaddingField,
    StoredField,
    StoredForm,
)
from h5lightning.planning.ragged_fields import DerivedField, NestedField
from h5lightning.planning.statistics import QUANTILES, FieldStatistics
from h5lightning.planning.values.conversions import delivery_dtype

__all__ = [
    "Affine",
    "NormalizedField",
    "check_normalized_keys",
    "normalized_fields",
    "reading_plan",
    "statistics_axes",
    "with_normalized_types",
]

_SHORT_INTEGERS = ("uint8", "uint16", "int8", "int16")  # float32 holds all of them


@dataclass(frozen=True, slots=True, eq=False)
class NormalizedField(Frozen):
    """A field that is normalised.

    Args:
        plan: the field as it is read; its type holds all values that are stored.
        option: how it is normalised.
        axes: the axes of a sample along which statistics differ, ascending.
        dtype: the type in which it is delivered.
    """

    plan: FieldPlan
    option: Normalize
    axes: tuple[int, ...]
    dtype: str

    @property
    def statistics_shape(self) -> tuple[int, ...]:
        """The shape of the statistics."""
        return tuple(self.plan.spec.shape[axis] or 0 for axis in self.axes)

    @property
    def spread_shape(self) -> tuple[int, ...]:
        """The shape of the statistics that broadcasts to samples, from the first axis along which they differ."""
        if not self.axes:
            return ()
        lengths = dict(zip(self.axes, self.statistics_shape, strict=True))
        return tuple(lengths.get(axis, 1) for axis in range(self.axes[0], len(self.plan.spec.shape)))


@dataclass(frozen=True, slots=True, eq=False)
class Affine(Frozen):
    """A normalised number is ``(number - shift) / scale``; both have the shape of the statistics.

    Args:
        shift: what becomes 0.
        scale: the distance from it that becomes 1; 1 where all numbers are equal.
        is_constant: where all numbers of the train split are equal.
    """

    shift: Float64Array
    scale: Float64Array
    is_constant: BoolArray

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> Affine:
        """What changes no number."""
        return cls(np.zeros(shape), np.ones(shape), np.zeros(shape, np.bool_))

    @classmethod
    def of(cls, statistics: FieldStatistics, field: NormalizedField) -> Affine:
        """The normalisation of a field by its statistics.

        Raises:
            FieldError: the statistics have another shape, or count no finite number.
        """
        title, option = field.plan.title, field.option
        if statistics.mean.shape != field.statistics_shape:
            raise FieldError(
                f"normalize: the statistics of {title} have the shape {statistics.mean.shape}, and its samples of "
                f"shape {field.plan.spec.shape} need {field.statistics_shape} (per={option.per!r}). Statistics of "
                "other data do not fit: use the files and options that they were made of"
            )
        counts = statistics.count > 0
        if not counts.any():
            left_out = (
                f", and normalize.where leaves out {int(statistics.masked.sum())}" if option.where else ""
            )
            raise FieldError(
                f"normalize: no number of {title} in the train split is finite ({int(statistics.nonfinite.sum())} are "
                f"NaN or infinite{left_out}): remove it from normalize"
            )
        return cls.by(statistics, option)

    @classmethod
    def by(cls, statistics: FieldStatistics, option: Normalize) -> Affine:
        """Shift and scale of some statistics."""
        shift, scale = _shift_and_scale(statistics, option.kind)
        counts = statistics.count > 0
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            is_constant = ~(scale > 0) | (statistics.min == statistics.max) | ~np.isfinite(1 / scale)
        scale = np.where(is_constant, 1.0, scale)
        return cls(np.where(counts, shift, 0.0), scale, np.asarray(is_constant & counts))


def _shift_and_scale(statistics: FieldStatistics, kind: str) -> tuple[Float64Array, Float64Array]:
    if kind == "standard":
        return statistics.mean, statistics.std
    low, high = (
        (statistics.min, statistics.max)
        if kind == "minmax"
        else (statistics.quantiles[quantile] for quantile in QUANTILES)
    )
    return low / 2 + high / 2, high / 2 - low / 2


def normalized_fields(fields: Fields, options: Mapping[str, Normalize]) -> dict[str, NormalizedField]:
    """Key → how it is normalised, for the fields that are; fields that these files lack are left out.

    Args:
        fields: all fields of a batch.
        options: key → how it is normalised.

    Raises:
        OptionError: a field whose numbers cannot be normalised.
        FieldError: statistics along an axis whose length varies.
    """
    return {
        plan.key: _normalized_field(plan, options[plan.key]) for plan in fields.plans if plan.key in options
    }


def check_normalized_keys(keys: Sequence[str], options: Mapping[str, Normalize]) -> None:
    """Raise `OptionError` unless all keys that are normalised, and those of ``where``, are keys of fields."""
    for key, option in options.items():
        if key not in keys:
            raise OptionError(f"normalize: there is no field {key!r}{did_you_mean(key, keys)}")
        if option.where is not None and option.where not in keys:
            raise OptionError(
                f"normalize.{key}.where: there is no field {option.where!r}{did_you_mean(option.where, keys)}"
            )


def with_normalized_types(fields: Fields, normalized: Mapping[str, NormalizedField]) -> Fields:
    """The fields with the types in which they are delivered."""
    if not normalized:
        return fields
    plans = tuple(
        replace(plan, spec=replace(plan.spec, dtype=normalized[plan.key].dtype))
        if plan.key in normalized
        else plan
        for plan in fields.plans
    )
    return replace(fields, plans=plans)


def statistics_axes(plan: FieldPlan, per: str) -> tuple[int, ...]:
    """The axes of a sample along which statistics differ, ascending: of those that are no axes of its window.

    If the length of the last axis varies, ``last`` means one of all numbers.
    """
    of_window = window_axes_of(plan)
    axes = tuple(axis for axis in range(len(plan.spec.shape)) if axis not in of_window)
    last = tuple(axis for axis in axes[-1:] if plan.spec.shape[axis] is not None)
    return {"last": last, "first": axes[:1], "element": axes, "all": ()}[per]


def reading_plan(plan: FieldPlan) -> FieldPlan:
    """The plan of a field that is read in a type that holds all its values, whatever type is delivered."""
    if isinstance(plan, JoinedField):
        read = [reading_plan(part).spec.dtype for part in plan.parts]
        dtype = np.result_type(*map(delivery_dtype, read)).name
        parts = tuple(replace(part, spec=replace(part.spec, dtype=dtype)) for part in plan.parts)
        forms = (StoredForm(delivery_dtype(dtype).str),)
        return replace(plan, spec=replace(plan.spec, dtype=dtype), parts=parts, forms=forms)
    return replace(plan, spec=replace(plan.spec, dtype=_reading_type(plan)))


def _reading_type(plan: FieldPlan) -> str:
    stored = [np.dtype(form.dtype) for form in plan.forms]
    is_number = all(dtype.kind in "iuf" for dtype in stored)
    if not is_number or not isinstance(plan, StoredField) or plan.spec.dtype in _SHORT_INTEGERS:
        return str(delivery_dtype(plan.spec.dtype).name)
    if encoded_of(plan) is not None:
        return "uint8"
    if plan.is_decoded:
        return "float64"
    return str(np.result_type(*(dtype.newbyteorder("=") for dtype in stored)).name)


def _normalized_field(plan: FieldPlan, option: Normalize) -> NormalizedField:
    dtype, name = plan.spec.dtype, f"normalize.{plan.key}"
    if isinstance(plan, (DerivedField, NestedField, PaddingField)) or dtype in ("bool", BYTES):
        raise OptionError(f"{name}: {plan.title} holds no numbers to be normalised: remove it from normalize")
    if plan.spec.classes is not None:
        raise OptionError(
            f"{name}: {plan.title} holds the numbers of {len(plan.spec.classes)} categories, which have no mean: "
            "remove it from normalize"
        )
    if dtype not in (*FLOAT_DTYPES, *_SHORT_INTEGERS):
        how = (
            "deliver real and imaginary parts as two fields"
            if dtype.startswith("complex")
            else "choose their type with Field(…, dtype='float32')"
        )
        raise OptionError(f"{name}: {plan.title} is {dtype}, and normalised numbers are floats: {how}")
    axes = statistics_axes(plan, option.per)
    if any(plan.spec.shape[axis] is None for axis in axes):
        raise FieldError(
            f"{name}: per={option.per!r} needs axes of one length, and samples of {plan.title} have the shape "
            f"{plan.spec.shape}, where None varies: per='all' has one of all numbers"
        )
    return NormalizedField(reading_plan(plan), option, axes, dtype if dtype in FLOAT_DTYPES else "float32")
