"""Issues of files: what makes training from them slow, or its results wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import bytes_text, counted, listed
from h5lightning.options import Field
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.schema_difference import explain_difference
from h5lightning.planning.conventions.series_borders import evidence_text, series_option
from h5lightning.planning.values.conversions import wider_type
from h5lightning.tools.overview.coded_datasets import names_numbers, path_of_names
from h5lightning.tools.overview.dataset_summary import DatasetSummary
from h5lightning.tools.overview.reader_choice import Reading
from h5lightning.tools.overview.row_axis import has_leading_series
from h5lightning.tools.overview.row_storage import LARGE_CHUNK_BYTES, SMALL_SHARE, plugin_hint

__all__ = ["SEVERITIES", "Issue", "find_issues", "row_span", "where_text"]

Names = Sequence[str]

SEVERITIES = ("problem", "warning", "note")

_MANY_ROWS = 8
# The lists of names that AnnData writes beside codes, and older versions into one group.
_NAMES_OF_CODES = re.compile(r"(?:^|/)(?:categories$|__categories/)")
_MAX_LISTED = 3


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing to know before training.

    Args:
        kind: a stable identifier, such as ``float64``.
        severity: ``problem``: training fails, or its results are wrong; ``warning``: slow or surprising; ``note``.
        text: what, where, and what to do. It may begin with ``{}``, which stands for the datasets.
        paths: the datasets.
        files: number of files that have it.
    """

    kind: str
    severity: str
    text: str
    paths: tuple[str, ...] = ()
    files: int = 0

    @classmethod
    def of(
        cls, dataset: DatasetSummary, kind: str, severity: str, text: str, files: int | None = None
    ) -> Issue:
        """An issue of one dataset, by default in all of its files."""
        return cls(kind, severity, text, (dataset.path,), len(dataset.files) if files is None else files)


def find_issues(
    datasets: Sequence[DatasetSummary],
    names: Names,
    readings: Mapping[str, Sequence[Reading]],
    further: Iterable[Issue] = (),
) -> tuple[Issue, ...]:
    """All issues, the worst first.

    Args:
        datasets: the datasets.
        names: the files that can be read.
        readings: path → how the dataset is read.
        further: issues found elsewhere, to be listed with them.
    """
    total = sum(dataset.weight for dataset in datasets)
    large = [dataset for dataset in datasets if dataset.weight > SMALL_SHARE * total]
    large = [dataset for dataset in large if not dataset.schema.refusal]
    found = [*_issues_of_files(datasets, names), *further]
    found += [issue for find in _IN_SOME_FILES for dataset in datasets for issue in find(dataset, names)]
    found += [issue for find in _SLOW for dataset in large for issue in find(dataset)]
    found += [issue for find in _OF_ONE_DATASET for dataset in datasets for issue in find(dataset)]
    for dataset in datasets:
        found += _not_direct(dataset, readings[dataset.path], is_large=dataset in large)
    return tuple(sorted(_merged(found), key=lambda issue: SEVERITIES.index(issue.severity)))


def row_span(rows: Int64Array) -> str:
    """The smallest and largest number of rows, such as ``60–140``."""
    low, high = int(rows.min()), int(rows.max())
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _merged(issues: Iterable[Issue]) -> list[Issue]:
    """Issues of the same kind and text as one, with the datasets in place of ``{}``."""
    alike: dict[tuple[str, str, str], list[Issue]] = {}
    for issue in issues:
        alike.setdefault((issue.kind, issue.severity, issue.text), []).append(issue)
    merged = []
    for (_, _, text), group in alike.items():
        paths = tuple(path for issue in group for path in issue.paths)
        datasets = listed([f"'/{path}'" for path in paths], _MAX_LISTED)
        each = ": each" if len(group) > 1 else ""
        full_text = f"{datasets}{each}{text.removeprefix('{}')}" if text.startswith("{}") else text
        if len(paths) == 1:
            full_text = full_text.replace("Field(path,", f"Field({paths[0]!r},")
        files = max(issue.files for issue in group)
        merged.append(replace(group[0], text=full_text, paths=paths, files=files))
    return merged


def _refused(dataset: DatasetSummary) -> Iterator[Issue]:
    refusal, storage = dataset.schema.refusal, dataset.schema.storage
    if refusal and dataset.schema.dtype == "text":
        if not _NAMES_OF_CODES.search(dataset.path):  # their codes are what a field names
            text = f"{{}} {refusal}. Field(path, categories=True) delivers the number of each text"
            yield Issue.of(dataset, "text", "note", text)
    elif refusal:
        kind = storage if storage in ("virtual", "external") else "unusable"
        yield Issue.of(dataset, kind, "note", f"{{}} {refusal}")


def _names(dataset: DatasetSummary) -> Iterator[Issue]:
    """Numbers of names: what delivers the same numbers for files that write other lists of names."""
    if dataset.is_usable and names_numbers(dataset):
        text = (
            "{} holds numbers of names. Field(path, categories=True) gives each name one number in all files"
        )
        issue = Issue.of(dataset, "names", "note", text)
        yield replace(issue, paths=(path_of_names(dataset),))


def _different_storage(dataset: DatasetSummary) -> Iterator[Issue]:
    layouts = sorted({_layout_text(variant.schema) for variant in dataset.variants})
    if len(layouts) > 1:
        ways = listed(layouts, _MAX_LISTED)
        text = f"{{}} is stored in different ways: {ways}. All are read correctly, but some slower"
        yield Issue.of(dataset, "different storage", "note", text)


def _big_endian(dataset: DatasetSummary) -> Iterator[Issue]:
    if dataset.schema.dtype.startswith(">"):
        text = "{} is big-endian: no problem, batches have the byte order of the machine"
        yield Issue.of(dataset, "big-endian", "note", text)


def _not_direct(dataset: DatasetSummary, readings: Sequence[Reading], *, is_large: bool) -> Iterator[Issue]:
    """Datasets that only h5py can read, and damaged ones."""
    plugins = plugin_hint(variant.schema for variant in dataset.variants)
    for reading in readings:
        if reading.reader == "none":
            yield Issue.of(dataset, "damaged", "problem", reading.reason, reading.files)
        # Values that were never written are another issue.
        elif reading.reason and "never written" not in reading.reason:
            text = f"{{}} {reading.reason}{plugins}: read through h5py, by one thread at a time"
            yield Issue.of(dataset, "h5py", "warning" if is_large else "note", text, reading.files)


_OF_ONE_DATASET: tuple[Callable[[DatasetSummary], Iterator[Issue]], ...] = (
    _refused,
    _names,
    _different_storage,
    _big_endian,
)


def _float64(dataset: DatasetSummary) -> Iterator[Issue]:
    columns = (column.dtype for column in dataset.schema.columns)
    if any(dtype[1:] == "f8" for dtype in (dataset.schema.dtype, *columns)):
        text = "{} is float64, but models use float32: half the bytes would be enough. dtype='float32' converts batches"
        yield Issue.of(dataset, "float64", "warning", text)


def _chunk_reads(dataset: DatasetSummary) -> Iterator[Issue]:
    rows = min(dataset.rows_per_chunk, dataset.max_rows)
    if rows < _MANY_ROWS:
        return
    cost = f"one row costs {bytes_text(rows * dataset.row_bytes)} instead of {bytes_text(dataset.row_bytes)}"
    if dataset.max_rows <= dataset.rows_per_chunk:
        text = f"{{}} is one compressed chunk, so that {cost}. Write chunks of at most about 1 MiB"
        yield Issue.of(dataset, "one chunk", "warning", text)
    else:
        text = (
            f"{{}} has compressed chunks of {rows:,} rows: read alone, {cost} ({rows:,} times as much). Therefore "
            "shuffle='auto' reads whole chunks in random order; shuffle='full' would be slow"
        )
        yield Issue.of(dataset, "amplified reads", "warning", text)


def _large_chunks(dataset: DatasetSummary) -> Iterator[Issue]:
    if dataset.schema.is_decoded_by_chunk and dataset.chunk_bytes > LARGE_CHUNK_BYTES:
        size = bytes_text(dataset.chunk_bytes)
        text = f"{{}} has chunks of {size}, and each thread holds one in memory. 1 MiB is large enough"
        yield Issue.of(dataset, "large chunks", "warning", text)


_SLOW: tuple[Callable[[DatasetSummary], Iterator[Issue]], ...] = (_float64, _chunk_reads, _large_chunks)


def _different_rows(dataset: DatasetSummary, names: Names) -> Iterator[Issue]:
    for variant in dataset.variants[1:]:
        difference = explain_difference(variant.schema, dataset.schema)
        if not difference:
            continue
        text = f"'/{dataset.path}' {difference} as in most files, {where_text(variant.files, names)}"
        if " has categories " in f" {difference}":
            kind, severity = "categories", "warning"
            text += (
                f": the same code has different meanings. {_with_categories(dataset, difference)} gives each name one "
                "number in all files; or write all files with one list of categories"
            )
        else:
            kind, severity = "different rows", "problem"
            text += _dtype_remedy(dataset, variant.schema)
        yield Issue.of(dataset, kind, severity, text, variant.files.size)


def _with_categories(dataset: DatasetSummary, difference: str) -> str:
    """The field that delivers the numbers of categories; ``difference`` may name a column."""
    column = re.match(r"has a column '(.*)' that ", difference)
    return Field(path_of_names(dataset), member=column[1] if column else None, categories=True).text()


def _dtype_remedy(dataset: DatasetSummary, schema: DatasetSchema) -> str:
    """The option that reads both types, if nothing else differs."""
    if schema.refusal or schema.members or explain_difference(schema, dataset.schema, any_type=True):
        return ""
    wider = wider_type(schema.dtype, dataset.schema.dtype)
    return f". Field({dataset.path!r}, dtype={wider!r}) delivers one type, whatever type each file stores"


def _never_written(dataset: DatasetSummary, names: Names) -> Iterator[Issue]:
    files = np.unique(dataset.files[dataset.missing > 0])
    if files.size and not dataset.schema.refusal:
        chunks = counted(int(dataset.missing[dataset.missing > 0].sum()), "chunk")
        text = (
            f"'/{dataset.path}': {chunks} never written, {where_text(files, names)}: HDF5 would deliver fill values. "
            "Write them, leave the files out, or accept fill values with access.on_missing='fill'"
        )
        yield Issue.of(dataset, "never written", "problem", text, files.size)


def _absent(dataset: DatasetSummary, names: Names) -> Iterator[Issue]:
    present = np.unique(dataset.files)
    if len(names) / 2 <= present.size < len(names):
        absent = np.setdiff1d(np.arange(len(names)), present)
        text = f"{{}} is absent {where_text(absent, names)}"
        yield Issue.of(dataset, "absent", "warning", text, absent.size)


def _several_series(dataset: DatasetSummary, names: Names) -> Iterator[Issue]:
    if dataset.schema.refusal or not dataset.series:
        return
    files = np.unique(np.concatenate([files for _, files in dataset.series]))
    further = len(dataset.series) - 1
    also = f", and so do {counted(further, 'more table')}" if further else ""
    option = series_option(dataset.series[0][0])
    remedy = "series='file'" if option is None else f"series={option.text()} or 'file'"
    text = (
        f"{{}} holds several series one after the other, {where_text(files, names)}: "
        f"{evidence_text(dataset.series[0][0])}{also}. Single rows are fine; samples=Windows(…) would cross the "
        f"borders of series, and is an error without {remedy}"
    )
    yield Issue.of(dataset, "several series", "note", text, files.size)


_IN_SOME_FILES: tuple[Callable[[DatasetSummary, Names], Iterator[Issue]], ...] = (
    _different_rows,
    _never_written,
    _absent,
    _several_series,
)


def _issues_of_files(datasets: Sequence[DatasetSummary], names: Names) -> Iterator[Issue]:
    counts = [int(np.unique(dataset.files).size) for dataset in datasets]
    if len(names) > 1 and counts and max(counts) < len(names):
        most = datasets[counts.index(max(counts))]
        text = (
            f"No dataset is in all files: '/{most.path}' is in {max(counts)} of {len(names)}. Do these files belong to "
            "one data set?"
        )
        yield Issue("nothing in common", "problem", text, (), len(names))
    yield from _without_rows(datasets, names)
    yield from _unequal_lengths(datasets, names)


def _without_rows(datasets: Sequence[DatasetSummary], names: Names) -> Iterator[Issue]:
    empty = [np.unique(dataset.files[dataset.rows == 0]) for dataset in datasets if not dataset.is_pattern]
    files = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *empty]))
    if files.size:
        text = f"Datasets without rows, {where_text(files, names)}: access.on_bad_file='skip' accepts them"
        yield Issue("no rows", "warning", text, (), files.size)


def _unequal_lengths(datasets: Sequence[DatasetSummary], names: Names) -> Iterator[Issue]:
    independent = _of_independent_length(datasets)
    arrays = [
        dataset
        for dataset in datasets
        if dataset.is_usable and dataset.schema.shape and dataset.path not in independent
    ]
    # Beside trajectories lie coordinates and parameters, which have other lengths.
    arrays = [dataset for dataset in arrays if has_leading_series(dataset, datasets)] or arrays
    if not arrays:
        return
    table = np.stack([dataset.rows_by_file(len(names)) for dataset in arrays])
    differs = np.flatnonzero(((table >= 0) & (table < table.max(axis=0))).any(axis=0))
    if differs.size:
        paths = {int(rows): dataset.path for dataset, rows in zip(arrays, table[:, differs[0]], strict=True)}
        lengths = [f"'/{paths[rows]}' {rows:,}" for rows in sorted(paths, reverse=True) if rows >= 0]
        text = f"Datasets of one file differ in length, {where_text(differs, names)}: {listed(lengths, _MAX_LISTED)}"
        yield Issue(
            "different lengths", "note", text, tuple(dataset.path for dataset in arrays), differs.size
        )


def _of_independent_length(datasets: Sequence[DatasetSummary]) -> set[str]:
    """Paths of tables with one line per series, and of the values of ragged rows: their lengths always differ."""
    tables = {path for dataset in datasets for table, _ in dataset.series for path in table.paths}
    ragged = (dataset.path for dataset in datasets for notes, _ in dataset.annotations if notes.index)
    return tables.union(ragged)


def where_text(files: Int64Array, names: Names) -> str:
    """In which files: the names of the first ones."""
    if files.size == len(names) and len(names) > 1:
        return "in all files"
    first = [names[file] for file in files[:_MAX_LISTED].tolist()]
    return f"in {listed(first, _MAX_LISTED, total=files.size)}"


def _layout_text(schema: DatasetSchema) -> str:
    return " ".join([f"chunks {schema.chunks}" if schema.chunks else schema.storage, *schema.filters])
