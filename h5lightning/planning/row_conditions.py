"""Conditions on the values of rows: which fields they look at, and whether values fulfil them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.errors import OptionError
from h5lightning.options import Field
from h5lightning.options.checks import did_you_mean
from h5lightning.options.coerce import coerce_fields
from h5lightning.options.samples import StageSamples
from h5lightning.options.where import Condition, Range, Where
from h5lightning.planning.encoded_field import BYTES
from h5lightning.planning.fields import FieldPlan, Fields, PaddingField
from h5lightning.planning.ragged_fields import DerivedField

__all__ = ["RowConditions", "RowTest", "condition_fields", "without_hidden"]

_START = "where."


@dataclass(frozen=True, eq=False)
class RowConditions(Frozen):
    """The conditions of a run, and what they look at.

    Args:
        where: key of a field, or path → condition.
        plans: the same key → plan of the field, in all files but those of ``files.predict``.
        predicted: the same, in files of ``files.predict`` alone: conditions on what these lack do not count there.
        predict_units: the units of these files.
    """

    where: Where
    plans: Mapping[str, FieldPlan]
    predicted: Mapping[str, FieldPlan]
    predict_units: Int64Array

    @classmethod
    def of(
        cls, where: Where, planned: Fields, predicted: Fields | None, predict_units: Int64Array
    ) -> RowConditions:
        """The conditions on fields that were planned together with `condition_fields`.

        Raises:
            OptionError: a condition that the values of its field cannot fulfil.
        """
        plans = _plans_of(where, planned)
        others = {} if predicted is None else _plans_of(where, predicted, may_lack=True)
        for key, plan in (*plans.items(), *others.items()):
            RowTest.of(key, where[key], plan)
        return cls(where, plans, others, predict_units if predicted is not None else predict_units[:0])

    def of_plans(self, is_chosen: Callable[[FieldPlan], bool]) -> RowConditions:
        """The conditions on some of the fields."""
        plans, predicted = (
            {key: plan for key, plan in plans.items() if is_chosen(plan)}
            for plans in (self.plans, self.predicted)
        )
        return replace(self, plans=plans, predicted=predicted)


def _plans_of(where: Where, fields: Fields, *, may_lack: bool = False) -> dict[str, FieldPlan]:
    by_key = {plan.key: plan for plan in fields.plans}
    found = {key: by_key.get(key) or by_key.get(_START + key) for key in where}
    for key, plan in found.items():
        if isinstance(plan, (PaddingField, DerivedField)):
            raise OptionError(
                f"where.{key}: the lengths and the padding of samples are no values of rows: name another field"
            )
        if plan is None and not may_lack:
            raise OptionError(f"where.{key}: there is no such field{did_you_mean(key, by_key)}")
    # A row without a category fulfils no condition, and its number may be that of a category.
    return {key: plan.marking_unknown() for key, plan in found.items() if plan is not None}


def condition_fields(
    where: Where | None, fields: Mapping[str, Field] | None, samples: StageSamples
) -> dict[str, Field]:
    """The datasets that conditions look at and that are no fields; each has a key that begins with ``where.``.

    Args:
        where: key of a field, or path → condition.
        fields: sample key → field; None for all datasets.
        samples: how samples lie in a series, in each stage.

    Raises:
        OptionError: a key that cannot be a path; or samples that conditions cannot leave out.
    """
    found = {}
    if where:
        _check_samples(samples)
    for key, condition in (where or {}).items():
        if fields is None or key not in fields:
            name = _START + key
            path, bracket, member = key.removesuffix("]").partition("[")
            is_column = bool(bracket) and key.endswith("]")
            field = Field(path, member=member) if is_column else coerce_fields({name: key})[name]  # type: ignore[index]
            found[name] = _with_list(field, condition)
            if fields is None and field.table_columns:
                raise OptionError(
                    f"where.{key} is a column of a table: name the fields too, as fields={{key: path}}"
                )
    return found


def without_hidden(
    hidden: Mapping[str, Field], planned: Mapping[str, Fields], predicted: Fields | None
) -> tuple[dict[str, Fields], Fields | None]:
    """The fields of each stage, and those of ``files.predict``, without those that only conditions look at."""
    made: dict[int, Fields] = {}
    for one in (*planned.values(), *(() if predicted is None else (predicted,))):
        plans = tuple(plan for plan in one.plans if plan.key not in hidden)
        made.setdefault(id(one), one if len(plans) == len(one.plans) else replace(one, plans=plans))
    stages = {stage: made[id(one)] for stage, one in planned.items()}
    return stages, None if predicted is None else made[id(predicted)]


def _with_list(field: Field, condition: Condition) -> Field:
    """A dataset of text is known by the numbers of the values that a condition lists."""
    if not isinstance(condition, list) or not all(isinstance(value, str) for value in condition):
        return field
    return replace(field, categories=list(dict.fromkeys(condition)), unknown=-1)


def _check_samples(samples: StageSamples) -> None:
    """Raise `OptionError` if the samples of a stage cannot be left out by conditions on rows."""
    for layout, stages in samples.stages_of.items():
        if layout.jitter:
            raise OptionError(
                f"samples of {stages[0]} begin anywhere (jitter=True), so that no condition of 'where' can leave them "
                "out: remove jitter or where"
            )


@dataclass(frozen=True, eq=False)
class RowTest(Frozen):
    """Whether the values of a field fulfil a condition.

    Args:
        key: the key of the condition.
        condition: the condition.
        classes: whether each category of the field fulfils it, ``(classes,)``; None for a field without categories.
    """

    key: str
    condition: Condition
    classes: BoolArray | None

    @classmethod
    def of(cls, key: str, condition: Condition, plan: FieldPlan) -> RowTest:
        """The test of a field.

        Raises:
            OptionError: a condition that the values of the field cannot fulfil.
        """
        names = plan.spec.classes
        if plan.spec.dtype == BYTES:
            raise OptionError(
                f"where.{key}: {plan.title} is delivered as bytes: name a field of numbers or text"
            )
        if names is not None:
            return cls(
                key, condition, _test_of_names(key, condition, names, is_listed=plan.key.startswith(_START))
            )
        if isinstance(condition, list) and any(isinstance(value, str) for value in condition):
            raise OptionError(
                f"where.{key}: {plan.title} has numbers, and the condition lists text: {condition!r}. Text of a field "
                "with categories is compared; else list numbers"
            )
        return cls(key, condition, None)

    def __call__(self, values: npt.NDArray[Any]) -> BoolArray:
        """Whether all elements of each row fulfil the condition, ``(N,)``.

        Args:
            values: decoded values, or numbers of categories, ``(N, …)``.

        Raises:
            OptionError: values of another kind than the condition is for.
        """
        fulfils = self._of_elements(values)
        return (
            np.logical_and.reduce(fulfils, axis=tuple(range(1, values.ndim))) if values.ndim > 1 else fulfils
        )

    def _of_elements(self, values: npt.NDArray[Any]) -> BoolArray:
        kind, condition = values.dtype.kind, self.condition
        if kind not in "biuf":
            raise OptionError(f"where.{self.key}: values of type {values.dtype} are no numbers")
        if self.classes is not None:
            is_known = (values >= 0) & (values < len(self.classes))
            fulfils: BoolArray = is_known & self.classes[np.where(is_known, values, 0).astype(np.int64)]
            return fulfils
        if isinstance(condition, Range):
            return _in_range(values, condition)
        if isinstance(condition, list):
            return _in_list(values, condition)
        if condition == "finite":
            finite: BoolArray = np.isfinite(values)
            return finite
        if kind == "f":
            raise OptionError(
                f"where.{self.key}: True is for a mask of booleans or whole numbers, found {values.dtype}; for "
                "numbers, use 'finite' or a range"
            )
        return values.astype(np.bool_)


def _in_range(values: npt.NDArray[Any], bounds: Range) -> BoolArray:
    fulfils = np.ones(values.shape, np.bool_)
    if bounds.min is not None:
        fulfils &= values >= bounds.min
    if bounds.below is not None:
        fulfils &= values < bounds.below
    if values.dtype.kind == "f":
        fulfils &= ~np.isnan(values)
    return fulfils


def _in_list(values: npt.NDArray[Any], listed: Sequence[Any]) -> BoolArray:
    """Whether each value is one of some numbers, as the type of the values has them."""
    if values.dtype.kind == "f":
        return np.isin(values, np.asarray(listed, values.dtype))
    whole = [int(value) for value in listed if float(value).is_integer()]
    if values.dtype.kind == "b":
        whole, values = [value for value in whole if value in (0, 1)], values.view(np.uint8)
    limits = np.iinfo(values.dtype)
    return np.isin(
        values, np.asarray([one for one in whole if limits.min <= one <= limits.max], values.dtype)
    )


def _test_of_names(key: str, condition: Condition, names: Sequence[str], *, is_listed: bool) -> BoolArray:
    """Which categories fulfil a condition, by their names; numbers are compared as numbers."""
    if isinstance(condition, list):
        wanted = {_name_of(value) for value in condition}
        unknown = sorted(wanted - set(names))
        if unknown and not is_listed:
            raise OptionError(
                f"where.{key}: no file has the value {unknown[0]!r}{did_you_mean(unknown[0], names)}"
            )
        return np.asarray([name in wanted for name in names], np.bool_)
    try:
        numbers = np.asarray([float(name) for name in names])
    except ValueError as error:
        raise OptionError(
            f"where.{key}: the field has categories, whose values are text: list those that count, such as "
            f"{list(names[:2])!r}"
        ) from error
    if isinstance(condition, Range):
        return _in_range(numbers, condition)
    return numbers.astype(np.bool_) if condition == "true" else np.isfinite(numbers)


def _name_of(value: Any) -> str:
    """The name that a category of this value has."""
    is_whole = isinstance(value, (bool, float)) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value)
