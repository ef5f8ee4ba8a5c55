"""Whether files stayed what they were when they were scanned."""

from __future__ import annotations

from h5lightning.core.formatting import counted
from h5lightning.planning.catalog.file_stamps import explain_change, explain_source_change
from h5lightning.planning.catalog.schema import Stamp
from h5lightning.planning.catalog.source_files import NOT_THERE
from h5lightning.storage.hdf5.external import source_stamp
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.run import CheckRun

__all__ = ["prove_unchanged"]


def prove_unchanged(case: CheckRun) -> CheckResult:
    """No file, and no other file that it takes values from, has changed since it was scanned."""
    catalog = case.assembly.survey.catalog
    failures = []
    for file, row in enumerate(catalog.stamps.tolist()):
        found, expected = source_stamp(catalog.path(file)), _stamp(row)
        what = "is not there any more" if found == NOT_THERE else explain_change(found, expected)
        if what:
            failures.append(f"{catalog.names[file]} {what} since it was scanned")
    for path, row in zip(catalog.sources.paths, catalog.sources.stamps.tolist(), strict=True):
        expected = _stamp(row)
        if expected[0] >= 0 and (what := explain_source_change(source_stamp(path), expected)):
            failures.append(f"{path}, which other files take values from, {what} since it was scanned")
    sources = f", {counted(len(catalog.sources), 'source')}" if len(catalog.sources) else ""
    scope = f"{counted(len(catalog), 'file')}{sources}"
    return CheckResult("files stayed as they were scanned", scope, tuple(failures))


def _stamp(row: list[int]) -> Stamp:
    size, mtime_ns, ctime_ns, inode = row
    return size, mtime_ns, ctime_ns, inode
