"""Check that columns have the same meaning in all files: names of genes, channels, coordinates of a grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.formatting import counted
from h5lightning.planning.catalog.annotations import AxisLabels
from h5lightning.planning.fields import ConstantField, StoredField
from h5lightning.tools.check.result import CheckResult, first_texts
from h5lightning.tools.check.run import CheckRun

__all__ = ["check_columns"]


def check_columns(run: CheckRun) -> CheckResult:
    """Labels of axes other than the sample axis have one order in all files, as far as the scan found labels."""
    failures: list[str] = []
    remarks: list[str] = []
    axes: set[tuple[str, int]] = set()
    plans = {(plan.path, plan.member): plan for plan in run.data.survey.fields.stored_fields}
    for plan in plans.values():
        first: dict[tuple[int, str], tuple[AxisLabels, int]] = {}
        for labels, file in _labels(run, plan):
            axes.add((plan.path, labels.axis))
            expected, reference = first.setdefault((labels.axis, labels.path), (labels, file))
            if labels.in_order != expected.in_order:
                is_accepted = plan.key in run.stored or not _is_error(labels, expected)
                text = _text(run, plan, labels, expected, file, reference)
                (remarks if is_accepted else failures).append(text)
    scope = f"{counted(len(axes), 'axis')} with labels" if axes else "no axis with labels"
    return CheckResult("columns mean the same in all files", scope, tuple(failures), first_texts(remarks))


def _labels(run: CheckRun, plan: StoredField) -> Iterator[tuple[AxisLabels, int]]:
    """The distinct labels of a field, each with the first file that has them."""
    catalog = run.data.survey.catalog
    numbers, files = np.unique(catalog.annotations_of(plan.path), return_index=True)
    for number, file in sorted(zip(numbers.tolist(), files.tolist(), strict=True), key=lambda pair: pair[1]):
        all_labels = catalog.annotations[number].labels if number >= 0 else ()
        yield from ((labels, file) for labels in all_labels if _is_delivered(labels, plan))


def _is_delivered(labels: AxisLabels, plan: StoredField) -> bool:
    """Whether labels belong to an axis that the field delivers, other than the sample axis."""
    is_inner = labels.axis > 0 or (labels.axis == 0 and isinstance(plan, ConstantField))
    return is_inner and labels.member in (None, plan.member)


def _is_error(labels: AxisLabels, expected: AxisLabels) -> bool:
    """Whether columns of different meaning are stacked; other numbers may be coordinates of tiles."""
    return labels.as_set == expected.as_set or "text" in (labels.kind, expected.kind)


def _text(
    run: CheckRun, plan: StoredField, labels: AxisLabels, expected: AxisLabels, file: int, reference: int
) -> str:
    name, first = run.index.names[file], run.index.names[reference]
    how = "the same labels in another order" if labels.as_set == expected.as_set else "other labels"
    return f"{name}: axis {labels.axis} of '/{plan.path}' has in '/{labels.path}' {how} than in {first}"
