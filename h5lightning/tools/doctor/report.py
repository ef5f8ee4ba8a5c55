"""The report of `h5lightning doctor`: what will be slow with some files, as plain values."""

from __future__ import annotations

import importlib.util
import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from h5lightning.options import Access, Field, Shuffle
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.storage.discovery import discover
from h5lightning.storage.files.open_files import default_budget
from h5lightning.tools.doctor.chunk_findings import chunk_findings
from h5lightning.tools.doctor.finding import FINE, SEVERITIES, Finding, Fix
from h5lightning.tools.doctor.fix_programs import FileList, merge_fix, rewrite_fix
from h5lightning.tools.doctor.read_timer import time_reads
from h5lightning.tools.doctor.storage_findings import MERGEABLE_FILES, file_findings, storage_findings
from h5lightning.tools.overview.field_lookup import stored_fields_of
from h5lightning.tools.overview.reader_choice import with_reasons
from h5lightning.tools.overview.scan import scan_readable
from h5lightning.tools.overview.workload import FieldStorage, Workload

__all__ = ["Diagnosis", "diagnose_files"]

# Rewriting the datasets does not help with these.
_NOT_FIXED_BY_REWRITING = {"small cache", "worker processes", "no codec", "open files", "tiny files"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What will be slow, and what to do.

    Args:
        root: the deepest directory that the files have in common.
        files: number of files that can be read.
        fields: sample key → dataset; of a list, its datasets with commas between them.
        mode: the order of training: ``full``, ``block`` or ``none``.
        findings: the findings, the worst first.
        fix: code that rewrites the files, for all findings together; None if rewriting does not help.
        bad: files that cannot be read.
    """

    patterns: tuple[str, ...]
    root: str
    files: int
    fields: Mapping[str, str]
    mode: str
    findings: tuple[Finding, ...]
    fix: Fix | None
    bad: tuple[SkippedFile, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether no finding is ``slow`` or ``faster``."""
        return all(finding.severity == FINE for finding in self.findings)

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        return {"healthy": self.is_healthy, **asdict(self)}


def diagnose_files(
    patterns: Sequence[str],
    fields: Mapping[str, Field] | None = None,
    *,
    shuffle: Shuffle | None = None,
    access: Access | None = None,
    batch_size: int = 32,
    num_workers: int = 0,
    processes: int | None = None,
    measure: bool = True,
    float32: bool = False,
    progress: bool = True,
) -> Diagnosis:
    """Examine how files are stored, and time a few reads.

    Args:
        patterns: globs or paths.
        fields: sample key → `Field`; None for those that `h5lightning inspect` suggests.
        shuffle: the order of training.
        access: how the files will be opened.
        batch_size: samples in a batch.
        num_workers: worker processes.
        processes: scanning processes for many files; None for one per core.
        measure: time a few reads, for at most two seconds.
        float32: whether fixes may store float64 as float32, which loses digits.
        progress: show a progress bar if stderr is a terminal.

    Raises:
        DiscoveryError: a pattern is not valid, or no file matches.
        FieldError: no file holds a field, or the files hold nothing to train on.
    """
    catalog = scan_readable(discover(list(patterns)), processes=processes, progress=progress)
    stored, is_whole = stored_fields_of(catalog, fields)
    access, fields_with_reasons = access or Access(), with_reasons(catalog, stored)
    loading = (access.cache_bytes, batch_size, num_workers, _max_open_files(access, num_workers), is_whole)
    workload = Workload(fields_with_reasons, len(catalog), shuffle or Shuffle(), *loading)
    findings = time_reads(_find(workload), catalog, workload) if measure else _find(workload)
    files = FileList.of(patterns, catalog)
    return Diagnosis(
        patterns=tuple(patterns),
        root=catalog.root,
        files=len(catalog),
        fields=_paths_of(stored),
        mode=workload.mode,
        findings=tuple(
            replace(one, fix=_fix_of([one], workload, files, float32=float32)) for one in findings
        ),
        fix=_fix_of(findings, workload, files, float32=float32),
        bad=catalog.skipped,
    )


def _find(workload: Workload) -> list[Finding]:
    has_codecs = importlib.util.find_spec("imagecodecs") is not None
    found = [
        *storage_findings(workload, has_codecs=has_codecs),
        *chunk_findings(workload),
        *file_findings(workload),
    ]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _max_open_files(access: Access, num_workers: int) -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = access.max_open_files or default_budget(max(1, num_workers))
    return limit if soft == resource.RLIM_INFINITY else min(limit, soft)


def _paths_of(stored: Sequence[FieldStorage]) -> dict[str, str]:
    """Sample key → the datasets of the field, each once."""
    paths: dict[str, dict[str, None]] = {}
    for field in stored:
        paths.setdefault(field.key, {})[field.path] = None
    return {key: ", ".join(found) for key, found in paths.items()}


def _fix_of(findings: Sequence[Finding], workload: Workload, files: FileList, *, float32: bool) -> Fix | None:
    """One fix for several findings; it changes float64 only if ``float32``."""
    bad = [finding for finding in findings if finding.severity != FINE]
    bad = [finding for finding in bad if float32 or finding.kind != "float64"]
    paths = {path for finding in bad if finding.kind not in _NOT_FIXED_BY_REWRITING for path in finding.paths}
    narrow = {path for finding in bad if finding.kind == "float64" for path in finding.paths}
    if fields := [field for field in workload.fields if field.path in paths]:
        return rewrite_fix(fields, workload, files, narrow=narrow)
    kinds = {finding.kind for finding in bad}
    is_merged = "tiny files" in kinds or ("open files" in kinds and workload.files > MERGEABLE_FILES)
    return merge_fix(workload, files) if is_merged else None
