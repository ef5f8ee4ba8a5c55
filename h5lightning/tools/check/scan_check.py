"""Checks of the scan: files can be opened and have not changed, columns mean the same, and splits share nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from h5lightning.core.formatting import counted, listed
from h5lightning.datamodule.summary import Summary, summarise
from h5lightning.planning.catalog.annotations import AxisLabels
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.planning.catalog.file_stamps import explain_change, explain_source_change
from h5lightning.planning.catalog.schema import Stamp
from h5lightning.planning.catalog.source_files import NOT_THERE
from h5lightning.planning.fields import ConstantField, StoredField
from h5lightning.planning.nonconforming_files import NEVER_WRITTEN
from h5lightning.storage.hdf5.external import source_stamp
from h5lightning.tools.check.run import MOST_NAMED, CheckResult, CheckRun
from h5lightning.tools.check.unwritten_rows import unwritten_since

__all__ = ["check_catalog", "check_changes", "check_columns", "check_splits"]


def check_catalog(run: CheckRun) -> CheckResult:
    """All files can be opened and have rows; every other file is named."""
    catalog = run.data.survey.catalog
    failures = [_skip_reason(file, catalog.root, run) for file in catalog.skipped]
    empty = np.flatnonzero(run.index.file_rows == 0).tolist()
    failures += [f"{catalog.names[file]}: no rows (the sample axis has length 0)" for file in empty]
    scope = counted(len(catalog) + len(catalog.skipped), "file")
    if run.index.series_unit is not None or run.index.series_start is not None:
        scope += f", {counted(len(run.index.series_rows), 'series')}"
    return CheckResult("all files can be opened", scope, tuple(failures))


def _skip_reason(file: SkippedFile, root: str, run: CheckRun) -> str:
    text = file.reason if file.name in file.reason else f"{file.name}: {file.reason}"
    if NEVER_WRITTEN not in file.reason:
        return text
    paths = dict.fromkeys(plan.path for plan in run.data.survey.fields.single_plans if plan.path)
    where = unwritten_since(os.path.join(root, file.name), paths)
    return (
        f"{text}{where and f'; {where}'}. Write the file again, exclude it, or accept the fill value with "
        "access.on_missing='fill'"
    )


def check_changes(run: CheckRun) -> CheckResult:
    """No file, and no other file that it takes values from, has changed since it was scanned."""
    catalog = run.data.survey.catalog
    failures = []
    for file, row in enumerate(catalog.stamps.tolist()):
        stamp = source_stamp(catalog.path(file))
        change = "was removed" if stamp == NOT_THERE else explain_change(stamp, _stamp(row))
        if change:
            failures.append(f"{catalog.names[file]} {change} since it was scanned")
    for path, row in zip(catalog.sources.paths, catalog.sources.stamps.tolist(), strict=True):
        expected = _stamp(row)
        if expected[0] >= 0 and (change := explain_source_change(source_stamp(path), expected)):
            failures.append(f"{path}, which other files take values from, {change} since it was scanned")
    sources = f", {counted(len(catalog.sources), 'source')}" if len(catalog.sources) else ""
    scope = f"{counted(len(catalog), 'file')}{sources}"
    return CheckResult("files have not changed since the scan", scope, tuple(failures))


def _stamp(row: list[int]) -> Stamp:
    size, mtime_ns, ctime_ns, inode = row
    return size, mtime_ns, ctime_ns, inode


def check_columns(run: CheckRun) -> CheckResult:
    """Labels of axes other than the sample axis have one order in all files, as far as the scan found labels."""
    failures: list[str] = []
    remarks: list[str] = []
    axes: set[tuple[str, int]] = set()
    plans = {(plan.path, plan.member): plan for plan in run.data.survey.fields.stored_fields}
    for plan in plans.values():
        first: dict[tuple[int, str], tuple[AxisLabels, int]] = {}
        for labels, unit in _axis_labels(run, plan):
            axes.add((plan.path, labels.axis))
            expected, reference = first.setdefault((labels.axis, labels.path), (labels, unit))
            if labels.in_order != expected.in_order:
                is_accepted = plan.key in run.stored or not _is_error(labels, expected)
                text = _column_difference(run, plan, labels, expected, unit, reference)
                (remarks if is_accepted else failures).append(text)
    scope = f"{counted(len(axes), 'axis')} with labels" if axes else "no axis with labels"
    note = listed(remarks, MOST_NAMED, separator="; ")
    return CheckResult("columns mean the same in all files", scope, tuple(failures), note)


def _axis_labels(run: CheckRun, plan: StoredField) -> Iterator[tuple[AxisLabels, int]]:
    """The distinct labels of a field, each with the first unit that has them."""
    catalog = run.data.survey.catalog
    numbers, units = np.unique(catalog.annotations_of(plan.path), return_index=True)
    for number, unit in sorted(zip(numbers.tolist(), units.tolist(), strict=True), key=lambda pair: pair[1]):
        all_labels = catalog.annotations[number].labels if number >= 0 else ()
        yield from ((labels, unit) for labels in all_labels if _is_delivered(labels, plan))


def _is_delivered(labels: AxisLabels, plan: StoredField) -> bool:
    """Whether labels belong to an axis that the field delivers, other than the sample axis."""
    is_inner = labels.axis > 0 or (labels.axis == 0 and isinstance(plan, ConstantField))
    return is_inner and labels.member in (None, plan.member)


def _is_error(labels: AxisLabels, expected: AxisLabels) -> bool:
    """Whether columns of different meaning are stacked; other numbers may be coordinates of tiles."""
    return labels.as_set == expected.as_set or "text" in (labels.kind, expected.kind)


def _column_difference(
    run: CheckRun, plan: StoredField, labels: AxisLabels, expected: AxisLabels, unit: int, reference: int
) -> str:
    name, first = run.name_of(unit), run.name_of(reference)
    how = "the same labels in another order" if labels.as_set == expected.as_set else "other labels"
    return f"{name}: axis {labels.axis} of '/{plan.path}' has in '/{labels.path}' {how} than in {first}"


def check_splits(run: CheckRun, keep_together: str | None) -> CheckResult:
    """No file, group or row is in two splits, and no two splits have files with the same content."""
    summary = summarise(run.data.survey, run.data.plan, keep_together=keep_together)
    sizes = ", ".join(f"{split.name} {counted(split.samples, 'sample')}" for split in summary.splits)
    unused = f", {counted(summary.unused_rows, 'row')} unused" if summary.unused_rows else ""
    return CheckResult(
        "splits share nothing", sizes, tuple(_leaks(summary)), f"split by {summary.by}{unused}"
    )


def _leaks(summary: Summary) -> list[str]:
    leaks = [f"{counted(summary.shared_rows, 'row')} are in two splits"] if summary.shared_rows else []
    if summary.shared_groups:
        leaks.append(f"{counted(summary.shared_groups, 'group')} of keep_together are in two splits")
    # A file that is cut is in several splits on purpose.
    if summary.shared_files and summary.by == "file":
        leaks.append(f"{counted(summary.shared_files, 'file')} are in two splits")
    for twins in summary.identical:
        listed = ", ".join(f"{name} ({split})" for name, split in twins)
        leaks.append(f"files of different splits have the same content: {listed}")
    return leaks
