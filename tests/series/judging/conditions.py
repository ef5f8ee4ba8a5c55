"""Which rows count, as ``where`` says, and which rows a sample reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from judging.divisions import RefusedError
from judging.labels import plain
from judging.options import FieldOption, SamplesOption
from judging.places import Array, OneSeries, Part, Sample
from judging.values import outside, row_value

if TYPE_CHECKING:
    from judging.contract import Contract

__all__ = ["check_conditions", "counting_rows", "rows_read"]


def check_conditions(contract: Contract) -> None:
    """Fields have categories, of which conditions list some; what groups and conditions name has a value a row.

    Raises:
        RefusedError: they do not.
    """
    for field in contract.fields.values():
        if field.categories is not None:
            contract.vocabularies.of(field)
    kind, _, name = str(contract.case.split.get("keep_together")).partition(":")
    paths = [key for key in contract.case.where or {} if key not in contract.fields]
    for path in [*paths, *([name] if kind == "field" else [])]:
        field = FieldOption.of_values(path)
        for file, text in contract.units:
            data = contract.files.seen_by(field, file, field.paths[0], text)
            axes, _ = contract.axes(field, contract.any_samples, data.ndim)
            if data.shape[axes[0]] != contract.rows_of_unit(file, text):
                raise RefusedError("one value for each row")
    for key, condition in (contract.case.where or {}).items():
        known = contract.fields.get(key)
        if not isinstance(condition, list) or known is None or known.categories is None:
            continue
        if set(condition) - set(contract.vocabularies.of(known)):
            raise RefusedError("a condition lists a value that is no category")


def counting_rows(contract: Contract, number: int) -> Array:
    """For each row of a series, whether all conditions hold, and a line of the table speaks of it."""
    one = contract.series[number]
    found = np.ones(one.rows, bool) if contract.table is None else contract.table.has_line(one)
    for key, condition in (contract.case.where or {}).items():
        field = contract.fields.get(key) or FieldOption.of_values(key)
        for row in range(one.rows):
            found[row] &= _holds(row_value(contract, field, Sample(number, row), coded=False), condition)
    return found


def _holds(values: Any, condition: Any) -> bool:
    """Whether all elements of a value meet a condition."""
    values = [plain(value) for value in np.asarray(values).flat]
    if condition == "finite":
        return all(value is not None and np.isfinite(value) for value in values)
    if condition is True:
        return all(value is not None and bool(value) for value in values)
    if isinstance(condition, tuple):
        low, below = condition
        return all(
            value is not None and (low is None or value >= low) and (below is None or value < below)
            for value in values
        )
    return all(value in condition for value in values)


def rows_read(
    contract: Contract, one: OneSeries, sample: Sample, samples: SamplesOption, part: Part
) -> set[int]:
    """The rows of its series that the fields of a sample read; padding is not read."""
    if samples.kind == "rows":
        return {sample.row}
    if samples.kind == "whole":
        return set(range(one.rows))
    found: set[int] = set()
    for field in contract.rows_fields.values():
        places, padding = outside(contract, field, sample, samples, part)[0]
        found |= set((places if samples.pad == "edge" else places[~padding]).tolist())
    return found
