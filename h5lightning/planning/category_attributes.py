"""Attributes with categories: each sample of a file gets the number of the category of its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import H5LightningError, OptionError
from h5lightning.options import SingleField
from h5lightning.planning.attribute_fields import attribute_values, described_attribute
from h5lightning.planning.categories import check_kind, delivered_classes
from h5lightning.planning.category_errors import unknown_value
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.fields import FieldPlan, FieldSpec, StoredForm
from h5lightning.planning.values.categories import NO_CATEGORY, Categories, Value, plain_value
from h5lightning.planning.values.conversions import delivery_dtype

__all__ = ["CategoryAttributeField", "plan_category_attribute"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CategoryAttributeField(FieldPlan):
    """An attribute: each sample of a file gets the number of the category of its value.

    Args:
        categories: the categories.
        names: the distinct values.
        values: the position in them of the value of each file, ``(files, *shape)``; -1 for NaN.
        asked: the field as the user wrote it.
    """

    categories: Categories
    names: tuple[Value, ...]
    values: Int64Array
    asked: SingleField

    def numbers(self) -> Int64Array:
        """The number of the category of each value; `NO_CATEGORY` for one that is none."""
        found = np.append(self.categories.numbers(self.names), NO_CATEGORY)
        numbers: Int64Array = found[self.values]
        return numbers

    def error(self, unit: int, where: str) -> H5LightningError:
        """The error of a unit whose value is no category."""
        wrong = self.values[unit][self.numbers()[unit] == NO_CATEGORY].reshape(-1)
        value = None if wrong[0] < 0 else self.names[int(wrong[0])]
        title = f"field {self.key!r} ({described_attribute(self.asked)})"
        return unknown_value(title, self.asked, self.categories, value, where)


def plan_category_attribute(compared: ComparedFiles, key: str, field: SingleField) -> CategoryAttributeField:
    """Plan an attribute whose category each sample of a file gets.

    Raises:
        MissingFieldError: a file lacks it.
        SchemaError: its shape differs between files.
        FieldError: a value that is no category.
    """
    if field.ragged != "error":
        raise OptionError(
            f"field {key!r}: {described_attribute(field)} with categories has one shape: remove ragged"
        )
    categories = compared.categories[key]
    delivered = delivered_classes(key, field, categories)
    order, files, values, number_of = attribute_values(compared, key, field)
    position_of: dict[Any, int] = {}
    of_number: list[npt.NDArray[Any]] = [values[0]] * len(values)
    for number, file, value in zip(order, files, values, strict=True):
        is_text = value.dtype.kind == "U"
        check_kind(
            compared.catalog, key, described_attribute(field), file, is_text=is_text, expected=categories
        )
        flat = [
            -1 if one != one else position_of.setdefault(one, len(position_of))  # noqa: PLR0124 - NaN
            for one in value.reshape(-1).tolist()
        ]
        of_number[number] = np.asarray(flat, np.int64).reshape(value.shape)
    shape = values[0].shape
    table = np.zeros((compared.catalog.unit_count, *shape), np.int64)
    table[compared.files] = np.stack(of_number)[number_of]
    plan = CategoryAttributeField(
        key=key,
        path=field.path,
        spec=FieldSpec(shape, delivered, categories.names),
        forms=(StoredForm(delivery_dtype(delivered).str),),
        categories=categories,
        names=tuple(map(plain_value, position_of)),
        values=table,
        asked=field,
    )
    if compared.checks_rows and categories.unknown is None:
        _check(compared, plan)
    return plan


def _check(compared: ComparedFiles, plan: CategoryAttributeField) -> None:
    """Raise if the value of a file is no category."""
    is_none = (plan.numbers() == NO_CATEGORY).reshape(len(plan.values), -1).any(axis=1)
    wrong = compared.files[is_none[compared.files]]
    if wrong.size:
        unit = int(wrong[0])
        raise plan.error(unit, f"in {compared.catalog.where(unit)}{compared.catalog.more(wrong)}")
