"""The report of `h5lightning inspect`: what files hold and how to train on them, as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from h5lightning.errors import H5LightningError
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.storage.discovery import discover
from h5lightning.tools.inspect import descriptions
from h5lightning.tools.inspect.convention_issues import find_convention_issues
from h5lightning.tools.inspect.issues import Issue, find_issues
from h5lightning.tools.inspect.snippets import Code, code_for
from h5lightning.tools.overview.dataset_paths import is_bookkeeping
from h5lightning.tools.overview.dataset_summary import DatasetSummary, summarize_datasets
from h5lightning.tools.overview.infer_fields import InferredFields, infer_fields
from h5lightning.tools.overview.reader_choice import Reading, readings_of
from h5lightning.tools.overview.row_axis import row_axis
from h5lightning.tools.overview.scan import groupings, is_of_matlab, scan_readable, shared_attrs
from h5lightning.tools.overview.suggest import suggest

__all__ = ["DatasetReport", "Inspection", "inspect_files"]


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

    @property
    def is_usable(self) -> bool:
        """Whether a DataModule can train on these files with the suggested code."""
        return self.code is not None

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
    inferred, verdict = _judge(patterns, catalog, datasets, is_matlab=is_matlab)
    readings = readings_of(datasets, catalog)
    convention_issues = find_convention_issues(data, catalog, is_matlab=is_matlab)
    return Inspection(
        patterns=tuple(patterns),
        root=discovered.root,
        files=len(catalog),
        file_bytes=int(catalog.stamps[:, 0].sum()),
        datasets=tuple(
            _report(dataset, inferred, readings[dataset.path])
            for dataset in sorted(datasets, key=lambda dataset: is_bookkeeping(dataset.schema))
        ),
        layout=descriptions.layout_sentences(data, inferred, len(catalog)),
        traps=find_issues(data, tuple(catalog.names), readings, convention_issues),
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


def _report(
    dataset: DatasetSummary, inferred: InferredFields | None, readings: tuple[Reading, ...]
) -> DatasetReport:
    fields = {} if inferred is None else inferred.fields or {}
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
        keys=tuple(key for key, field in fields.items() if field.path == dataset.path and field.attr is None),
        refusal=dataset.schema.refusal,
        read_by=readings,
    )
