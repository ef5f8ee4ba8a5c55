"""Series made of names: the fields whose paths hold a ``*``."""

from __future__ import annotations

from collections.abc import Mapping

from h5lightning.errors import OptionError
from h5lightning.options import Field

__all__ = ["matched_paths"]


def matched_paths(fields: Mapping[str, Field]) -> tuple[str, ...]:
    """The paths with a ``*`` of the fields with rows: each text that it matches is a series. Empty if there are none.

    Raises:
        OptionError: only some of the fields with rows have a ``*``, or only fields without rows.
    """
    rows = {key: field for key, field in fields.items() if field.attr is None and not field.constant}
    matched = {key: field for key, field in rows.items() if "*" in field.path}
    starred = next((key for key, field in fields.items() if "*" in field.path), None)
    if starred is None:
        return ()
    if not matched:
        raise OptionError(
            f"field {starred!r}: {fields[starred].path!r} holds a '*', but no field with rows does. A '*' makes each "
            "match a series: write it into the path of each field with rows, or name one object here"
        )
    for key, field in rows.items():
        if key not in matched:
            other, path = next((key, field.path) for key, field in matched.items())
            raise OptionError(
                f"field {key!r}: {field.path!r} has no '*', but field {other!r} has one ({path!r}), which makes each "
                f"match a series. If all series of a file share this dataset, use {field.text(constant=True)}; "
                "else write its path with a '*'"
            )
    return tuple(dict.fromkeys(field.path for field in matched.values()))
