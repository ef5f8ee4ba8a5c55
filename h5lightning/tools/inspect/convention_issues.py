"""Issues with the conventions of files: packed values, missing values, labels of axes, and axes that are not samples.

The planner is asked as a run asks it, so that an issue has the text of the error with which the run would end.
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
from h5lightning.tools.overview.dataset_summary import DatasetSummary
from h5lightning.tools.overview.row_axis import row_axis
from h5lightning.tools.overview.row_storage import SMALL_SHARE

__all__ = ["find_convention_issues"]


def find_convention_issues(
    datasets: Sequence[DatasetSummary], catalog: Catalog, *, is_matlab: bool = False
) -> Iterator[Issue]:
    """Issues with what numbers and axes mean, as far as the files say."""
    total = sum(dataset.weight for dataset in datasets)
    for dataset in datasets:
        if dataset.is_usable and dataset.annotations and dataset.schema.shape:
            yield from _planning_issues(dataset, catalog)
            yield from _remarks(dataset, tuple(catalog.names))
        if dataset.weight <= SMALL_SHARE * total:
            continue
        axis = row_axis(dataset, datasets, is_matlab=is_matlab)
        if axis.text:
            yield Issue.of(dataset, "axes", axis.severity, f"{{}} {axis.text}")


def _planning_issues(dataset: DatasetSummary, catalog: Catalog) -> Iterator[Issue]:
    """The error with which a run would end unless the user sets ``decode``, or the remarks of planning."""
    files = sum(files.size for _, files in dataset.annotations)
    for member in _members(dataset):
        planned = _planned(dataset, catalog, member, None)
        if isinstance(planned, Fields):
            for remark in planned.remarks:
                yield Issue.of(dataset, "remark", "note", remark, files)
        elif isinstance(_planned(dataset, catalog, member, "stored"), Fields):
            text = re.sub(r"^field '(?:[^'\\]|\\.)*': ", "", str(planned))
            yield Issue.of(dataset, _kind(planned), "problem", text, files)


def _members(dataset: DatasetSummary) -> tuple[str | None, ...]:
    """The columns of a table to plan: the first one, and those with missing values; None for other datasets."""
    if not dataset.schema.members:
        return (None,)
    missing = [found.column for notes, _ in dataset.annotations for found in notes.missing_columns]
    return tuple(dict.fromkeys([dataset.schema.columns[0].name, *missing]))


def _planned(
    dataset: DatasetSummary, catalog: Catalog, member: str | None, decode: str | None
) -> Fields | H5LightningError:
    """A planned field of single rows, or the error of planning."""
    fields = {dataset.path: Field(dataset.path, member=member, decode=decode)}
    files = dataset.files_alike()
    try:
        return plan_fields(catalog, fields, Rows(), on_missing="fill", allow_empty=True, files=files)
    except H5LightningError as error:
        return error


def _kind(error: H5LightningError) -> str:
    if isinstance(error, MissingDataError):
        return "missing values"
    return "labels" if isinstance(error, SchemaError) else "packed"


def _remarks(dataset: DatasetSummary, names: Sequence[str]) -> Iterator[Issue]:
    ends = [files for notes, files in dataset.annotations if notes.ends_with_fill]
    if ends:
        files = np.unique(np.concatenate(ends))
        text = (
            f"{{}}: its last row holds only the fill value, {where_text(files, names)}. The program that wrote it may "
            "have been stopped too early: run 'h5lightning check' to examine it"
        )
        yield Issue.of(dataset, "half written", "warning", text, files.size)
    remarks: dict[str, int] = {}
    for notes, files in dataset.annotations:
        for remark in notes.remarks:
            remarks[remark] = remarks.get(remark, 0) + files.size
    for remark, count in remarks.items():
        yield Issue.of(dataset, "remark", "note", f"{{}} {remark}", count)
