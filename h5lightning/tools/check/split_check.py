"""Check that the files can be used, and that splits share nothing."""

from __future__ import annotations

import os

import numpy as np

from h5lightning.core.formatting import counted
from h5lightning.datamodule.summary import Summary, summarise
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.planning.nonconforming_files import NEVER_WRITTEN
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.run import CheckRun
from h5lightning.tools.check.unwritten_rows import unwritten_since

__all__ = ["check_catalog", "check_splits"]


def check_catalog(run: CheckRun) -> CheckResult:
    """All files can be opened and have rows; every other file is named."""
    catalog = run.data.survey.catalog
    failures = [_reason(file, catalog.root, run) for file in catalog.skipped]
    empty = np.flatnonzero(run.index.file_rows == 0).tolist()
    failures += [f"{catalog.names[file]}: no rows (the sample axis has length 0)" for file in empty]
    scope = counted(len(catalog) + len(catalog.skipped), "file")
    return CheckResult("all files can be opened", scope, tuple(failures))


def _reason(file: SkippedFile, root: str, run: CheckRun) -> str:
    text = file.reason if file.name in file.reason else f"{file.name}: {file.reason}"
    if NEVER_WRITTEN not in file.reason:
        return text
    paths = dict.fromkeys(plan.path for plan in run.data.survey.fields.plans if plan.path)
    where = unwritten_since(os.path.join(root, file.name), paths)
    return (
        f"{text}{where and f'; {where}'}. Write the file again, exclude it, or accept the fill value with "
        "access.on_missing='fill'"
    )


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
