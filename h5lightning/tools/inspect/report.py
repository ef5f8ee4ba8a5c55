"""The report of `h5lightning inspect`: what files hold and how to train on them, as plain values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from h5lightning.errors import H5LightningError
from h5lightning.options import Field, SingleField, single_fields
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.storage.discovery import discover
from h5lightning.tools.inspect import descriptions
from h5lightning.tools.inspect.convention_issues import find_convention_issues
from h5lightning.tools.inspect.issues import Issue, find_issues
from h5lightning.tools.inspect.layouts import recognise
from h5lightning.tools.inspect.layouts.call import Call, Recognised
from h5lightning.tools.inspect.layouts.stored_files import StoredFiles
from h5lightning.tools.inspect.snippets import Code, code_for
from h5lightning.tools.overview.dataset_paths import is_bookkeeping
from h5lightning.tools.overview.dataset_summary import DatasetSummary, summarize_datasets
from h5lightning.tools.overview.infer_fields import InferredFields, infer_fields
from h5lightning.tools.overview.reader_choice import Reading, readings_of
from h5lightning.tools.overview.row_axis import row_axis
from h5lightning.tools.overview.scan import groupings, is_of_matlab, scan_readable, shared_attrs
from h5lightning.tools.overview.suggest import Suggestion, suggest

__all__ = ["DatasetReport", "Inspection", "inspect_files"]

# What a call says of the datasets that it reads: their axes, series, and samples of different shapes.
_ANSWERED = frozenset(["axes", "packed", "several series", "different lengths", "different rows", "unusable"])


@dataclasses.dataclass(frozen=True, slots=True)
class DatasetReport:
    """One dataset, or the datasets of one path pattern, over all files.

    Args:
        path: path in the file; a pattern with a ``*`` for datasets with similar paths.
        datasets: number of datasets with such a path in a file.
        shape: all axes, the first one with its smallest and largest length.
        storage: chunks and filters.
        stored_bytes: bytes in all files.
        rows: smallest and largest number of rows; None for a scalar.
        files: number of files that hold it.
        variants: number of ways in which it is stored.
        keys: keys of the suggested sample that use it.
        refusal: why it cannot be a field; empty if it can.
        read_by: which reader reads it, in how many files, and why it is h5py.
    """

    path: str
    datasets: int
    dtype: str
    shape: str
    storage: str
    stored_bytes: int
    rows: tuple[int, int] | None
    files: int
    variants: int
    keys: tuple[str, ...]
    refusal: str
    read_by: tuple[Reading, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Inspection:
    """What files hold, and how to train on them.

    Args:
        root: the deepest directory that the files have in common.
        files: number of files that can be read.
        file_bytes: their size.
        datasets: what they hold; bookkeeping of programs comes last.
        layout: sentences that describe the layout.
        traps: what to know before training, the worst first.
        bad: files that cannot be read, and why.
        skipped: files that match the patterns but are not HDF5.
        code: code for these files; None if a DataModule cannot use them.
        reason: why it cannot use them; empty if it can.
        left_out: readable files that the code leaves out because they differ.
        split_by: what the split of the code keeps whole; empty if there are too few rows to divide.
        hints: what the user may change in the code, and why.
        call: the code that is usual for the layout of these files; None if no layout was recognised.
    """

    patterns: tuple[str, ...]
    root: str
    files: int
    file_bytes: int
    datasets: tuple[DatasetReport, ...]
    layout: tuple[str, ...]
    traps: tuple[Issue, ...]
    bad: tuple[SkippedFile, ...]
    skipped: tuple[SkippedFile, ...]
    code: Code | None = None
    reason: str = ""
    left_out: tuple[str, ...] = ()
    split_by: str = ""
    hints: tuple[str, ...] = ()
    call: Recognised | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a DataModule can train on these files with the suggested code."""
        return self.code is not None or self.call is not None

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        return {"usable": self.is_usable, **dataclasses.asdict(self)}


def inspect_files(
    patterns: Sequence[str], *, processes: int | None = None, progress: bool = True
) -> Inspection:
    """Examine files without reading their values. A bad file does not end the report, but is listed in it.

    Args:
        patterns: globs or paths.
        processes: scanning processes for many files; None for one per core.
        progress: show a progress bar if stderr is a terminal.

    Raises:
        DiscoveryError: a pattern is not valid, or no file matches.
    """
    discovered = discover(list(patterns))
    catalog = scan_readable(discovered, processes=processes, progress=progress)
    datasets = summarize_datasets(catalog)
    data = [dataset for dataset in datasets if not is_bookkeeping(dataset.schema)]
    is_matlab = len(catalog) > 0 and is_of_matlab(catalog.path(0))
    stored = StoredFiles(data, len(catalog), shared_attrs(catalog), is_matlab)
    recognised = recognise(patterns, catalog, stored)
    inferred, verdict = _judge(patterns, catalog, datasets, is_matlab=is_matlab)
    verdict = _with_call(verdict, recognised, catalog)
    fields = (inferred.fields if inferred else None) if recognised is None else recognised[0].fields
    readings = readings_of(datasets, catalog)
    convention_issues = find_convention_issues(data, catalog, is_matlab=is_matlab)
    return Inspection(
        patterns=tuple(patterns),
        root=discovered.root,
        files=len(catalog),
        file_bytes=int(catalog.stamps[:, 0].sum()),
        datasets=tuple(
            _report(dataset, fields or {}, readings[dataset.path])
            for dataset in sorted(datasets, key=lambda dataset: is_bookkeeping(dataset.schema))
        ),
        layout=descriptions.layout_sentences(
            data, inferred, len(catalog), reason=recognised[0].reason if recognised else ""
        ),
        traps=tuple(
            issue
            for issue in find_issues(data, tuple(catalog.names), readings, convention_issues)
            if recognised is None or not _is_answered(issue, recognised[0], datasets)
        ),
        bad=catalog.skipped,
        skipped=discovered.skipped,
        **verdict,
    )


def _judge(
    patterns: Sequence[str], catalog: Catalog, datasets: Sequence[DatasetSummary], *, is_matlab: bool
) -> tuple[InferredFields | None, dict[str, Any]]:
    """What a sample is made of, and the arguments of an `Inspection` that say whether it works."""
    inferred = None
    try:
        inferred = infer_fields(datasets, len(catalog), shared_attrs(catalog))
        suggestion = suggest(patterns, catalog, inferred)
    except H5LightningError as error:
        return inferred, {"reason": str(error) if len(catalog) else "none of the files can be read"}
    x, has_times = inferred.datasets[0], inferred.samples.axis == 1
    may_be_time = has_times or row_axis(x, datasets, is_matlab=is_matlab).may_be_time
    return inferred, {
        "code": code_for(suggestion),
        "left_out": suggestion.left_out,
        "split_by": suggestion.split_by,
        "hints": descriptions.hints(
            inferred, groupings(catalog), may_be_time=may_be_time, lists=suggestion.lists
        ),
    }


def _with_call(
    verdict: dict[str, Any], recognised: tuple[Call, Suggestion] | None, catalog: Catalog
) -> dict[str, Any]:
    """The arguments that say whether it works, with the call for a layout; it answers what the hints answer else."""
    if recognised is None:
        return verdict
    call, suggestion = recognised
    code = code_for(suggestion)
    shared = () if call.split and call.split.keep_together else groupings(catalog)
    return {
        **verdict,
        "call": Recognised(call.layout, call.reason, code.python, code.yaml),
        "reason": "",
        "left_out": (),
        "split_by": suggestion.split_by,
        "hints": descriptions.hints(None, shared),
    }


def _is_answered(issue: Issue, call: Call, datasets: Sequence[DatasetSummary]) -> bool:
    """Whether the call, which was planned for these files, says what to do with what an issue says."""
    parts = [part for _, part in single_fields(call.fields)]
    read = {dataset.path for dataset in datasets for part in parts if _reads(part, dataset)}
    if issue.kind == "several series" and call.series is not None:
        return True  # it also names datasets that no field reads
    return issue.kind in _ANSWERED and read.issuperset(issue.paths)


def _report(
    dataset: DatasetSummary, fields: Mapping[str, Field], readings: tuple[Reading, ...]
) -> DatasetReport:
    return DatasetReport(
        path=dataset.path,
        datasets=len(dataset.paths),
        dtype=descriptions.type_text(dataset),
        shape=descriptions.shape_text(dataset),
        storage=descriptions.storage_text(dataset),
        stored_bytes=int(dataset.stored_bytes.sum()),
        rows=(int(dataset.rows.min()), int(dataset.rows.max())) if dataset.schema.shape else None,
        files=int(np.unique(dataset.files).size),
        variants=len(dataset.variants),
        keys=tuple(dict.fromkeys(key for key, part in single_fields(fields) if _reads(part, dataset))),
        refusal=dataset.schema.refusal,
        read_by=readings,
    )


def _reads(field: SingleField, dataset: DatasetSummary) -> bool:
    """Whether a field reads a dataset, or the datasets of a pattern; the ``*`` of the field may match more."""
    before, star, after = field.path.partition("*")
    if field.attr is not None or not star:
        return field.attr is None and field.path == dataset.path
    pattern = re.compile(f"{re.escape(before)}[^/]*{re.escape(after)}")
    return bool(pattern.fullmatch(dataset.path))
