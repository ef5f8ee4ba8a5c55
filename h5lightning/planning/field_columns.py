"""Checks the column of a table (compound) that a field names."""

from __future__ import annotations

from h5lightning.errors import MissingFieldError, UnsupportedFieldError
from h5lightning.options import Field
from h5lightning.options.checks import nearest
from h5lightning.planning.catalog.schema import DatasetSchema, Member, member_text

__all__ = ["check_column"]

_MOST_LISTED = 12


def check_column(what: str, field: Field, schema: DatasetSchema) -> None:
    """Raise unless the field names a column that a tensor can hold, or names none of a dataset without columns.

    Args:
        what: the field, its dataset and its file, for messages.
        field: the field.
        schema: the dataset in one file.

    Raises:
        MissingFieldError: there is no such column.
        UnsupportedFieldError: the field names no column, or a column of text, of tables, or the like.
    """
    if not schema.members and field.member is None:
        return
    if not schema.members:
        raise MissingFieldError(f"{what} holds {schema.dtype}, it is no table with columns; leave out member")
    names = [column.name for column in schema.columns]
    if field.member is None:
        raise UnsupportedFieldError(
            f"{what} is a table (compound) with the columns {_names(schema)}; "
            f"choose one: Field({field.path!r}, member={names[0]!r})"
        )
    column = schema.member(field.member)
    if column is None:
        near = nearest(field.member, [member.name for member in schema.members])
        raise MissingFieldError(f"{what} has no column {field.member!r}{near}")
    if column.refusal:
        raise UnsupportedFieldError(
            f"{what}: the column {field.member!r} ({_type_text(column)}) {column.refusal}. "
            f"Columns that can be fields: {_listed(list(map(member_text, schema.columns)))}"
        )


def _names(schema: DatasetSchema) -> str:
    """The columns that can be fields, and the other ones with their types."""
    refused = [member_text(member) for member in schema.members if member.refusal]
    more = f" (and {_listed(refused)}, which can be no field)" if refused else ""
    return _listed([column.name for column in schema.columns]) + more


def _listed(texts: list[str]) -> str:
    more = f", … {len(texts) - _MOST_LISTED} more" if len(texts) > _MOST_LISTED else ""
    return ", ".join(texts[:_MOST_LISTED]) + more


def _type_text(column: Member) -> str:
    return f"{column.shape or ''}{column.dtype}"
