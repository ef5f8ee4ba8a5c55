"""What the codes of a dataset stand for, as its schema says: the values of an enumeration, or a list of names."""

from __future__ import annotations

from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.values.categories import CodeNames

__all__ = ["code_names"]


def code_names(schema: DatasetSchema, member: str | None) -> CodeNames | None:
    """The names of the codes of a dataset or of a column; None if its numbers are the values."""
    value = schema.value(member)
    if value is None or value.categories is None:
        return None
    return CodeNames(tuple(range(len(value.categories))), value.categories)
