"""The report: what will be slow with some files, as plain values."""

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
from h5lightning.tools.doctor.read_timer import Stopwatch
from h5lightning.tools.doctor.rewrite import FileList, merging, rewriting
from h5lightning.tools.doctor.storage_findings import MERGEABLE_FILES, file_findings, storage_findings
from h5lightning.tools.overview.field_lookup import stored_fields_of, with_reasons
from h5lightning.tools.overview.scan import scan_readable
from h5lightning.tools.overview.stored_fields import Case, Loading

__all__ = ["Diagnosis", "diagnose_files"]

# What writing the datasets again does not mend.
_OTHER_REMEDIES = frozenset(["small cache", "worker processes", "no codec", "open files", "tiny files"])


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnosis:
    """What will be slow, and what to do.

    Args:
        patterns: what was asked for.
        root: the deepest directory that they have in common.
        files: files that could be read.
        fields: sample key → dataset.
        mode: the order of training that was supposed: ``full``, ``block`` or ``none``.
        findings: what was found, the worst first.
        fix: how to write the files again, for all findings together; None if there is nothing to mend so.
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
        """Whether nothing will be slow, and nothing could be faster."""
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
    """Look at how files are stored, and read a few rows of them.

    Args:
        patterns: globs or paths.
        fields: sample key → `Field`; None for those that `h5lightning inspect` suggests.
        shuffle: the order of training.
        access: how the files will be opened.
        batch_size: samples in a batch.
        num_workers: worker processes.
        processes: scanning processes for many files; None for one on each core.
        measure: time a few reads, for two seconds at most.
        float32: what mends the files may store float64 as float32, which loses digits.
        progress: show a bar where somebody watches.

    Raises:
        DiscoveryError: patterns that cannot be used, or match nothing.
        FieldError: a field that no file holds, or files that hold nothing to train on.
    """
    found = discover(list(patterns))
    catalog = scan_readable(found, processes=processes, progress=progress)
    stored, is_whole = stored_fields_of(catalog, fields)
    loading = _loading(shuffle or Shuffle(), access or Access(), batch_size, num_workers, is_whole=is_whole)
    case = Case(with_reasons(catalog, stored), loading, len(catalog))
    findings = _find(case)
    if measure:
        findings = Stopwatch(catalog, case).measured(findings)
    files = _file_list(patterns, catalog)
    kept = frozenset() if float32 else frozenset(["float64"])
    return Diagnosis(
        patterns=tuple(patterns),
        root=found.root,
        files=len(catalog),
        fields={field.key: field.path for field in stored},
        mode=case.mode,
        findings=tuple(dataclasses.replace(one, fix=_fix_of([one], case, files, kept)) for one in findings),
        fix=_fix_of(findings, case, files, kept),
        bad=catalog.skipped,
    )


def _loading(
    shuffle: Shuffle, access: Access, batch_size: int, num_workers: int, *, is_whole: bool
) -> Loading:
    return Loading(
        shuffle=shuffle.mode,
        window_bytes=shuffle.window_bytes,
        cache_bytes=access.cache_bytes,
        batch_size=batch_size,
        num_workers=num_workers,
        open_files=_open_files(access, num_workers),
        is_whole=is_whole,
    )


def _find(case: Case) -> list[Finding]:
    has_codecs = importlib.util.find_spec("imagecodecs") is not None
    found = [*storage_findings(case, has_codecs=has_codecs), *chunk_findings(case), *file_findings(case)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _open_files(access: Access, num_workers: int) -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = access.max_open_files or default_budget(max(1, num_workers))
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft)


# ── remedies ─────────────────────────────────────────────────────────────────────────────────────────


def _fix_of(findings: Sequence[Finding], case: Case, files: FileList, kept: Collection[str]) -> Fix | None:
    """How to write the files again for some findings together, but those whose kind is in ``kept``."""
    bad = [finding for finding in findings if finding.severity != FINE and finding.kind not in kept]
    paths = {path for finding in bad if finding.kind not in _OTHER_REMEDIES for path in finding.paths}
    narrow = {path for finding in bad if finding.kind == "float64" for path in finding.paths}
    if fields := [field for field in case.fields if field.path in paths]:
        return rewriting(fields, case, files, narrow=narrow)
    kinds = {finding.kind for finding in bad}
    is_merged = "tiny files" in kinds or ("open files" in kinds and case.files > MERGEABLE_FILES)
    return merging(case, files) if is_merged else None


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
    """A glob below the root that a shell understands as we do; empty if there is none."""
    if len(patterns) != 1:
        return ""
    (first, *others) = Pattern.of(patterns[0], os.getcwd()).globs
    text = "/".join(first.parts)
    if (
        others
        or "**" in text
        or first.base != catalog.root
        or not re.fullmatch(r"[\w./*?-]+", text, re.ASCII)
    ):
        return ""
    matched = glob.glob(text, root_dir=catalog.root)
    return text if sorted(matched) == sorted(catalog.names) else ""
