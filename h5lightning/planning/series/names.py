"""Series made of names: the fields whose paths hold a ``*``, and what lists and tables may call a series."""

from __future__ import annotations

from collections.abc import Mapping

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import OptionError
from h5lightning.options import Field, single_fields
from h5lightning.planning.index import SampleIndex

__all__ = ["called", "matched_paths"]


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


def called(index: SampleIndex, series: Int64Array) -> tuple[list[str], list[str]]:
    """What series may be called in a list or a table.

    Args:
        index: all series.
        series: some of them, which follow each other.

    Returns:
        The name of each, or its number in its file; and what the ``*`` matched, or the same.
    """
    if index.series_names is None:
        first = index.first_series[index.series_file[series]]
        names = [str(number) for number in (series - first).tolist()]
        return names, names
    names = list(index.series_names.take(series))
    if index.unit_texts is None or index.series_start is not None:
        return names, names
    return names, list(index.unit_texts.take(index.units[series]))
