"""Which class reads which kind of field: a new kind is a plan, a reader, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h5lightning.loading.fields.constant_reader import AttributeReader, ConstantReader
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.row_reader import RowReader
from h5lightning.planning.fields import AttributeField, ConstantField, FieldPlan, RowField

__all__ = ["make_field_reader"]


def make_field_reader(plan: FieldPlan, context: ReadContext) -> FieldReader:
    """The reader of a field.

    Args:
        plan: what the field is.
        context: what the readers of all fields share.
    """
    return _READERS[type(plan)](plan, context)


_READERS: dict[type[FieldPlan], Callable[[Any, ReadContext], FieldReader]] = {
    AttributeField: AttributeReader,
    ConstantField: ConstantReader,
    RowField: RowReader,
}
