"""The report of `h5lightning doctor`: what will be slow with some files, as plain values."""

from __future__ import annotations

import dataclasses
import glob
import importlib.util
import os
import re
import resource
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

from h5lightning.options import Access, Field, Shuffle
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.discovery import discover
from h5lightning.storage.discovery.patterns import Pattern
from h5lightning.storage.files.open_files import default_budget
from h5lightning.tools.doctor.chunk_findings import chunk_findings
from h5lightning.tools.doctor.finding import FINE, SEVERITIES, Finding, Fix
from h5lightning.tools.doctor.fix_programs import FileList, merge_fix, rewrite_fix
from h5lightning.tools.doctor.read_timer import ReadTimer
from h5lightning.tools.doctor.storage_findings import MERGEABLE_FILES, file_findings, storage_findings
from h5lightning.tools.overview.field_lookup import stored_fields_of
from h5lightning.tools.overview.reader_choice import with_reasons
from h5lightning.tools.overview.scan import scan_readable
from h5lightning.tools.overview.workload import Workload

__all__ = ["Diagnosis", "diagnose_files"]

# Rewriting the datasets does not help with these.
_NOT_FIXED_BY_REWRITING = frozenset(
    ["small cache", "worker processes", "no codec", "open files", "tiny files"]
)


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnosis:
    """What will be slow, and what to do.

    Args:
        patterns: the patterns of the files.
        root: the deepest directory that they have in common.
        files: number of files that can be read.
        fields: sample key → dataset.
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
        return {"healthy": self.is_healthy, **dataclasses.asdict(self)}


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
    discovered = discover(list(patterns))
    catalog = scan_readable(discovered, processes=processes, progress=progress)
    stored, is_whole = stored_fields_of(catalog, fields)
    access = access or Access()
    workload = Workload(
        with_reasons(catalog, stored),
        len(catalog),
        shuffle or Shuffle(),
        access.cache_bytes,
        batch_size,
        num_workers,
        _max_open_files(access, num_workers),
        is_whole,
    )
    findings = _find(workload)
    if measure:
        findings = ReadTimer(catalog, workload).measure(findings)
    files = _file_list(patterns, catalog)
    unfixed = frozenset() if float32 else frozenset(["float64"])
    return Diagnosis(
        patterns=tuple(patterns),
        root=discovered.root,
        files=len(catalog),
        fields={field.key: field.path for field in stored},
        mode=workload.mode,
        findings=tuple(
            dataclasses.replace(one, fix=_fix_of([one], workload, files, unfixed)) for one in findings
        ),
        fix=_fix_of(findings, workload, files, unfixed),
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


# ── fixes ─────────────────────────────────────────────────────────────────────────────────────────


def _fix_of(
    findings: Sequence[Finding], workload: Workload, files: FileList, unfixed: Collection[str]
) -> Fix | None:
    """One fix for several findings; those whose kind is in ``unfixed`` are ignored."""
    bad = [finding for finding in findings if finding.severity != FINE and finding.kind not in unfixed]
    paths = {path for finding in bad if finding.kind not in _NOT_FIXED_BY_REWRITING for path in finding.paths}
    narrow = {path for finding in bad if finding.kind == "float64" for path in finding.paths}
    if fields := [field for field in workload.fields if field.path in paths]:
        return rewrite_fix(fields, workload, files, narrow=narrow)
    kinds = {finding.kind for finding in bad}
    is_merged = "tiny files" in kinds or ("open files" in kinds and workload.files > MERGEABLE_FILES)
    return merge_fix(workload, files) if is_merged else None


def _file_list(patterns: Sequence[str], catalog: Catalog) -> FileList:
    return FileList(
        patterns=tuple(patterns),
        root=catalog.root,
        names=tuple(catalog.names),
        glob=_shell_glob(patterns, catalog),
        total_bytes=int(catalog.stamps[:, 0].sum()),
        is_repackable=not catalog.facts[:, 2].any() and not any(map(_is_elsewhere, chain(*catalog.layouts))),
    )


def _is_elsewhere(dataset: DatasetSchema) -> bool:
    return dataset.storage in ("virtual", "external")


def _shell_glob(patterns: Sequence[str], catalog: Catalog) -> str:
    """A pattern relative to the root that matches the same files in a shell; empty if there is none."""
    if len(patterns) != 1:
        return ""
    (first, *alternatives) = Pattern.of(patterns[0], os.getcwd()).globs
    text = "/".join(first.parts)
    if (
        alternatives
        or "**" in text
        or first.base != catalog.root
        or not re.fullmatch(r"[\w./*?-]+", text, re.ASCII)
    ):
        return ""
    matched = glob.glob(text, root_dir=catalog.root)
    return text if sorted(matched) == sorted(catalog.names) else ""
