"""Series made of names: the fields whose paths hold a ``*``."""

from __future__ import annotations

from collections.abc import Mapping

from h5lightning.errors import OptionError
from h5lightning.options import Field, single_fields

__all__ = ["matched_paths"]


def matched_paths(fields: Mapping[str, Field]) -> tuple[str, ...]:
    """The paths with a ``*`` of the fields with rows: each text that it matches is a series. Empty if there are none.

    Raises:
        OptionError: only some of the fields with rows have a ``*``, or only fields without rows.
    """
    parts = list(single_fields(fields))
    rows = [(key, field) for key, field in parts if field.attr is None and not field.constant]
    matched = [(key, field) for key, field in rows if "*" in field.path]
    starred = next(((key, field.path) for key, field in parts if "*" in field.path), None)
    if starred is None:
        return ()
    if not matched:
        raise OptionError(
            f"field {starred[0]!r}: {starred[1]!r} holds a '*', but no field with rows does. A '*' makes each "
            "match a series: write it into the path of each field with rows, or name one object here"
        )
    for key, field in rows:
        if "*" not in field.path:
            other, path = matched[0][0], matched[0][1].path
            raise OptionError(
                f"field {key!r}: {field.path!r} has no '*', but field {other!r} has one ({path!r}), which makes each "
                f"match a series. If all series of a file share this dataset, use {field.text(constant=True)}; "
                "else write its path with a '*'"
            )
    return tuple(dict.fromkeys(field.path for _, field in matched))
