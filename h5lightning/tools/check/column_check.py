"""Whether columns mean the same in all files: names of genes, channels, coordinates of a grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.formatting import counted
from h5lightning.planning.catalog.annotations import AxisLabels
from h5lightning.planning.fields import ConstantField, StoredField
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.run import CheckRun

__all__ = ["prove_columns"]

_MOST_NAMED = 3


def prove_columns(case: CheckRun) -> CheckResult:
    """Labels of axes that are not the sample axis are in one order in all files, as far as the scan found any."""
    failures: list[str] = []
    remarks: list[str] = []
    axes: set[tuple[str, int]] = set()
    plans = {(plan.path, plan.member): plan for plan in case.assembly.survey.fields.stored_fields}
    for plan in plans.values():
        first: dict[tuple[int, str], tuple[AxisLabels, int]] = {}
        for labels, file in _labels(case, plan):
            axes.add((plan.path, labels.axis))
            expected, reference = first.setdefault((labels.axis, labels.path), (labels, file))
            if labels.in_order != expected.in_order:
                is_decided = plan.key in case.stored or not _is_error(labels, expected)
                text = _text(case, plan, labels, expected, file, reference)
                (remarks if is_decided else failures).append(text)
    scope = f"{counted(len(axes), 'axis')} with labels" if axes else "no axis with labels"
    more = f"; and {len(remarks) - _MOST_NAMED:,} more" if len(remarks) > _MOST_NAMED else ""
    note = "; ".join(remarks[:_MOST_NAMED]) + more
    return CheckResult("columns mean the same in all files", scope, tuple(failures), note)


def _labels(case: CheckRun, plan: StoredField) -> Iterator[tuple[AxisLabels, int]]:
    """The labels of a field, each distinct saying once, with the first file that says so."""
    catalog = case.assembly.survey.catalog
    numbers, files = np.unique(catalog.annotations_of(plan.path), return_index=True)
    for number, file in sorted(zip(numbers.tolist(), files.tolist(), strict=True), key=lambda pair: pair[1]):
        said = catalog.annotations[number].labels if number >= 0 else ()
        yield from ((labels, file) for labels in said if _counts(labels, plan))


def _counts(labels: AxisLabels, plan: StoredField) -> bool:
    """Whether labels name something that the field delivers, beside its samples."""
    is_delivered = labels.axis > 0 or (labels.axis == 0 and isinstance(plan, ConstantField))
    return is_delivered and labels.member in (None, plan.member)


def _is_error(labels: AxisLabels, expected: AxisLabels) -> bool:
    """Whether columns of different meaning are stacked; other numbers may be coordinates of tiles."""
    return labels.as_set == expected.as_set or "text" in (labels.kind, expected.kind)


def _text(
    case: CheckRun, plan: StoredField, labels: AxisLabels, expected: AxisLabels, file: int, reference: int
) -> str:
    name, other = case.index.names[file], case.index.names[reference]
    how = "the same labels in another order" if labels.as_set == expected.as_set else "other labels"
    return f"{name}: axis {labels.axis} of '/{plan.path}' has in '/{labels.path}' {how} than in {other}"
