"""What files say around their numbers, as traps: in the words of the errors that a run would end with.

The planner is asked, as a run asks it, with and without a decision of the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from h5lightning.errors import H5LightningError, MissingDataError, SchemaError
from h5lightning.options import Field, Rows
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.fields import Fields
from h5lightning.tools.inspect.issues import Issue, where_text
from h5lightning.tools.overview.axis_meaning import row_axis
from h5lightning.tools.overview.dataset_table import Entry

__all__ = ["find_meanings"]

_SMALL_SHARE = 0.01  # of the data: its axes do not matter


def find_meanings(entries: Sequence[Entry], catalog: Catalog, *, is_matlab: bool = False) -> Iterator[Issue]:
    """What numbers mean, as far as files say so.

    Args:
        entries: the datasets.
        catalog: what the files hold.
        is_matlab: whether MATLAB wrote the files.
    """
    total = sum(entry.weight for entry in entries)
    for entry in entries:
        if entry.is_usable and entry.said and entry.schema.shape:
            yield from _of_numbers(entry, catalog)
            yield from _remarks(entry, tuple(catalog.names))
        if entry.weight <= _SMALL_SHARE * total:
            continue
        axis = row_axis(entry, entries, is_matlab=is_matlab)
        if axis.text:
            yield Issue("axes", axis.severity, f"{{}} {axis.text}", (entry.path,), len(entry.files))


def _of_numbers(entry: Entry, catalog: Catalog) -> Iterator[Issue]:
    """What a run would end with unless the user decides, and what else planning has to say."""
    files = sum(files.size for _, files in entry.said)
    for member in _members(entry):
        planned = _planned(entry, catalog, member, None)
        if isinstance(planned, Fields):
            for remark in planned.remarks:
                yield Issue("remark", "note", remark, (entry.path,), files)
        elif isinstance(_planned(entry, catalog, member, "stored"), Fields):
            text = re.sub(r"^field '(?:[^'\\]|\\.)*': ", "", str(planned))
            yield Issue(_kind(planned), "problem", text, (entry.path,), files)


def _members(entry: Entry) -> tuple[str | None, ...]:
    """The columns of a table to look at: one, and those with missing values; None for what is no table."""
    if not entry.schema.members:
        return (None,)
    missing = [found.column for said, _ in entry.said for found in said.missing_columns]
    return tuple(dict.fromkeys([entry.schema.columns[0].name, *missing]))


def _planned(
    entry: Entry, catalog: Catalog, member: str | None, decode: str | None
) -> Fields | H5LightningError:
    """What planning makes of a field of single rows, or the error that it ends with."""
    fields = {entry.path: Field(entry.path, member=member, decode=decode)}
    files = entry.files_alike()
    try:
        return plan_fields(catalog, fields, Rows(), on_missing="fill", allow_empty=True, files=files)
    except H5LightningError as error:
        return error


def _kind(error: H5LightningError) -> str:
    if isinstance(error, MissingDataError):
        return "missing values"
    return "labels" if isinstance(error, SchemaError) else "packed"


def _remarks(entry: Entry, names: Sequence[str]) -> Iterator[Issue]:
    ends = [files for said, files in entry.said if said.ends_with_fill]
    if ends:
        files = np.unique(np.concatenate(ends))
        text = (
            f"{{}}: its last row holds nothing but the fill value, {where_text(files, names)}. Perhaps the program "
            "that wrote it was ended: 'h5lightning check' looks closer"
        )
        yield Issue("half written", "warning", text, (entry.path,), files.size)
    remarks: dict[str, int] = {}
    for said, files in entry.said:
        for remark in said.remarks:
            remarks[remark] = remarks.get(remark, 0) + files.size
    for remark, count in remarks.items():
        yield Issue("remark", "note", f"{{}} {remark}", (entry.path,), count)
