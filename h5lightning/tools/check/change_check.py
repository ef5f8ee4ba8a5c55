"""Check that files have not changed since they were scanned."""

from __future__ import annotations

from h5lightning.core.formatting import counted
from h5lightning.planning.catalog.file_stamps import explain_change, explain_source_change
from h5lightning.planning.catalog.schema import Stamp
from h5lightning.planning.catalog.source_files import NOT_THERE
from h5lightning.storage.hdf5.external import source_stamp
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.run import CheckRun

__all__ = ["check_changes"]


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
