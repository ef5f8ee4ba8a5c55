"""Errors of values that are no category: which value of which row, what is near to it, what to do."""

from __future__ import annotations

from h5lightning.errors import FieldError, H5LightningError, MissingDataError
from h5lightning.options import Field
from h5lightning.planning.values.categories import Categories, Value

__all__ = ["unknown_value"]

_LONGEST = 200  # letters of a field that an error shows


def unknown_value(
    title: str, field: Field, categories: Categories, value: Value | None, where: str, stored: str = ""
) -> H5LightningError:
    """The error of a value that is no category.

    Args:
        title: the field and its dataset.
        field: the field as the user wrote it.
        categories: its categories.
        value: the value; None for a missing one.
        where: row and file, ``at row 3 of a.h5`` or ``in a.h5``.
        stored: the number that is stored for it, if it is a code.
    """
    text = field.text(unknown=-1)  # of the field alone: a list of categories may be long
    remedy = f"{text if len(text) < _LONGEST else 'unknown=-1'} delivers -1 for such values"
    code = f" (stored as {stored})" if stored else ""
    if value is None:
        return MissingDataError(
            f"{title} has no value {where}{code}. {remedy}, which a loss function can leave out (ignore_index=-1); "
            "or leave such rows out"
        )
    return FieldError(
        f"{title} holds {value!r}{code} {where}, which is no category: {categories.nearest(value)}. Add it to "
        f"categories, or correct the file; {remedy}"
    )
