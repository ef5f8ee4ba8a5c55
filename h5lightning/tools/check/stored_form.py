"""What one file stores of a field: the type of its elements, and what they stand for, may differ from file to file."""

from __future__ import annotations

from h5lightning.planning.fields import StoredField, StoredForm
from h5lightning.storage.readers.protocol import DatasetColumn

__all__ = ["form_in", "source_of"]


def form_in(plan: StoredField, file: int) -> StoredForm:
    """How one file stores a field."""
    return plan.forms[plan.form_in(file)]


def source_of(plan: StoredField, file: int) -> DatasetColumn:
    """What a reader reads of the field in one file."""
    return DatasetColumn(plan.path, plan.member, form_in(plan, file).dtype, plan.row_shape)
