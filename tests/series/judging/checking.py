"""Which options fit one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judging.divisions import RefusedError
from judging.options import FieldOption, SamplesOption

if TYPE_CHECKING:
    from judging.contract import Contract

__all__ = ["check_options"]


def check_options(contract: Contract) -> None:
    """Options that fit one another, whatever the data are.

    Raises:
        RefusedError: they do not.
    """
    stars = {key: field.paths[0].count("*") for key, field in contract.rows_fields.items()}
    every = [path.count("*") for field in contract.fields.values() for path in field.paths]
    if not stars or max(every) > 1 or len(set(stars.values())) > 1:
        raise RefusedError("each field with rows has one *, or none has")
    options, axis = contract.case.series or {}, (contract.case.series or {}).get("axis")
    for samples in contract.case.stage_samples.values():
        if samples.pad and samples.kind != "windows":
            raise RefusedError("pad needs windows")
        for field in contract.rows_fields.values():
            _check_field(contract, field, samples)
    if axis is None and any(field.series_axis is not None for field in contract.fields.values()):
        raise RefusedError("a field has an axis of series, the data have not")
    if options and any(field.extra_rows for field in contract.fields.values()):
        raise RefusedError("extra_rows with a table or an axis of series")


def _check_field(contract: Contract, field: FieldOption, samples: SamplesOption) -> None:
    axes, series_axis = contract.said_axes(field, samples)
    if field.index is not None:
        if samples.kind != "rows" or series_axis is not None:
            raise RefusedError("rows of an index are rows, and nothing else")
        return
    if series_axis is not None and series_axis in axes:
        raise RefusedError("rows lie along the axis of series")
    if len(axes) != len(samples.axes):
        raise RefusedError("a field names as many axes as samples")
    if field.ragged != "error" and samples.kind == "windows":
        raise RefusedError("ragged windows")
