"""The report of `h5lightning doctor`: what will be slow with some files, as plain values."""

from __future__ import annotations

import importlib.util
import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from h5lightning.options import Access, Field, Samples, Series, Shuffle, Whole, Windows
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.storage.discovery import discover
from h5lightning.storage.files.open_files import default_budget
from h5lightning.tools.doctor.box_findings import good_chunks
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
        samples: what a sample is, such as ``Windows(length=8)``.
        series: what a series is, such as ``Series(axis=0)``; empty for a file, or a match of the ``*`` in the fields.
        mode: the order of training: ``full``, ``block`` or ``none``.
        findings: the findings, the worst first.
        fix: code that rewrites the files, for all findings together; None if rewriting does not help.
        no_fix: why there is no code, though the files should be rewritten; empty if there is, or if they need not be.
        bad: files that cannot be read.
    """

    patterns: tuple[str, ...]
    root: str
    files: int
    fields: Mapping[str, str]
    samples: str
    series: str
    mode: str
    findings: tuple[Finding, ...]
    fix: Fix | None
    no_fix: str
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
    samples: Samples | None = None,
    series: SeriesOption = None,
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
        samples: how samples lie in a series; None for rows, or for what is inferred with the fields.
        series: what a series is; None for a file, for a match of a ``*``, or for what is inferred with the fields.
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
    found = stored_fields_of(catalog, fields, samples=samples, series=series)
    access = access or Access()
    workload = Workload(
        with_reasons(catalog, found.fields),
        len(catalog),
        shuffle or Shuffle(),
        access.cache_bytes,
        batch_size,
        num_workers,
        _max_open_files(access, num_workers),
        found.is_whole,
        found.samples.rows if isinstance(found.samples, Windows) else 1,
        found.has_series,
        found.samples.take if isinstance(found.samples, Whole) else None,
    )
    findings = time_reads(_find(workload), catalog, workload) if measure else _find(workload)
    files = FileList.of(patterns, catalog)
    return Diagnosis(
        patterns=tuple(patterns),
        root=catalog.root,
        files=len(catalog),
        fields=_paths_of(found.fields),
        samples=repr(found.samples),
        series=found.series.text() if isinstance(found.series, Series) else found.series or "",
        mode=workload.mode,
        findings=tuple(
            replace(one, fix=_fix_of([one], workload, files, float32=float32)) for one in findings
        ),
        fix=_fix_of(findings, workload, files, float32=float32),
        no_fix=_why_no_fix(findings, workload, float32=float32),
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
    fields = _to_rewrite(bad, workload)
    narrow = {path for finding in bad if finding.kind == "float64" for path in finding.paths}
    if any(field.leading > 1 or field.boxes is not None for field in fields):
        return None
    if fields:
        return rewrite_fix(fields, workload, files, narrow=narrow)
    return merge_fix(workload, files) if _is_merged(bad, workload) and not workload.has_series else None


def _to_rewrite(bad: Sequence[Finding], workload: Workload) -> list[FieldStorage]:
    """The fields whose datasets should be stored in another way."""
    paths = {path for finding in bad if finding.kind not in _NOT_FIXED_BY_REWRITING for path in finding.paths}
    return [field for field in workload.fields if field.path in paths]


def _is_merged(bad: Sequence[Finding], workload: Workload) -> bool:
    """Whether fewer files are the remedy."""
    kinds = {finding.kind for finding in bad}
    return "tiny files" in kinds or ("open files" in kinds and workload.files > MERGEABLE_FILES)


def _why_no_fix(findings: Sequence[Finding], workload: Workload, *, float32: bool) -> str:
    """Why no code is printed though the files should be written anew; empty if code is printed, or none is needed."""
    bad = [finding for finding in findings if finding.severity != FINE]
    bad = [finding for finding in bad if float32 or finding.kind != "float64"]
    chosen = _to_rewrite(bad, workload)
    for field in chosen:
        if field.boxes is not None:
            return (
                "No program is printed: it would choose chunks for rows along axis 0. Write the dataset "
                f"'/{field.path}' again with h5py, and with chunks={good_chunks(field, field.boxes)}, or without "
                "chunks if compression saves nothing"
            )
    if any(field.leading > 1 for field in chosen):
        return (
            "No program is printed: it would choose chunks along the axis of series. Write the files again with chunks "
            "of one series and some of its rows, such as (1, 16, …)"
        )
    if not chosen and workload.has_series and _is_merged(bad, workload):
        return "No program is printed: merging the rows of these files would lose the borders of their series"
    return ""
