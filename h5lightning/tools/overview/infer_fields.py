"""Infer what a sample is made of: the largest dataset is ``x``, its labels are ``y``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError, UnsupportedFieldError
from h5lightning.options import Field, Rows, Samples, Series, Whole
from h5lightning.storage.scanning.series.name_roles import roles_of
from h5lightning.tools.overview.coded_datasets import (
    files_alike_but_names,
    has_several_lists,
    is_cell_type,
    path_of_names,
)
from h5lightning.tools.overview.dataset_paths import is_bookkeeping, is_label, words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary
from h5lightning.tools.overview.infer_series import Family, find_family, lists_of_series, series_in_rows
from h5lightning.tools.overview.row_axis import IMAGE_CHANNELS, has_leading_series

__all__ = ["InferredFields", "infer_fields", "keys_of"]

_COUNTER_WORDS = frozenset(
    ["axis", "id", "ids", "index", "indices", "idx", "time", "timestamp", "step", "offset", "ptr"]
)
_START_WORDS = frozenset(["start", "starting", "rate", "version", "date", "reference"])
_BUCKET = re.compile(r"(?:^|/)data/bucket[\d*]*$")
_FLAG_ROLES = frozenset(["flags", "inverse flags", "first flags"])  # where series end or begin
_MAX_COLUMNS = 8
# Words that YAML or Hydra do not read as text, and keys that batches use.
_RESERVED_KEYS = frozenset(
    ["null", "true", "false", "yes", "no", "on", "off", "nan", "inf", "sample_id", "is_repeat"]
)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class InferredFields:
    """What a sample is made of.

    Args:
        fields: sample key → `Field`; None for all datasets.
        datasets: the datasets of the fields.
        samples: how samples lie in a series.
        files: the files in which these datasets agree, ascending, ``(files,)``.
        is_categorical: whether ``y`` numbers classes; None without ``y``.
        series: what divides the rows of a file into series; None if a file is one, or if fields have a ``*``.
        lists: split → dataset that may list its series by their names; empty if there are none.
    """

    fields: Mapping[str, Field] | None
    datasets: tuple[DatasetSummary, ...]
    samples: Samples
    files: Int64Array
    is_categorical: bool | None = None
    series: Series | None = None
    lists: Mapping[str, str] = dataclasses.field(default_factory=dict)


def infer_fields(datasets: Sequence[DatasetSummary], files: int, attrs: Mapping[str, Any]) -> InferredFields:
    """Choose fields.

    Args:
        datasets: the datasets.
        files: number of files.
        attrs: the attributes of one file.

    Raises:
        FieldError: no dataset can be chosen, or most of the data cannot be a field.
    """
    datasets = [dataset for dataset in datasets if not is_bookkeeping(dataset.schema)]
    if columns := _numbered_columns(datasets):
        return InferredFields(None, columns, Rows(), np.arange(files))
    _check_buckets(datasets)
    if (family := find_family(datasets)) is not None:
        return dataclasses.replace(_of_family(family, files), lists=lists_of_series(datasets, files))
    _check_bulk(datasets)
    tables = _series_tables(datasets)
    candidates = [dataset for dataset in datasets if not _problem(dataset) and 2 * dataset.files.size > files]
    candidates = [dataset for dataset in candidates if dataset.path not in tables]
    with_rows = [dataset for dataset in candidates if dataset.schema.shape]
    if not with_rows:
        raise FieldError("the files have no dataset in common that can be a field")
    x = max(with_rows, key=lambda dataset: (not is_label(dataset.path), dataset.weight))
    if x.schema.members:
        return _fields_of_table(x)
    if has_leading_series(x, datasets):
        return InferredFields({"x": _field(x)}, (x,), Rows(axis=1), x.files_alike(), series=Series(axis=0))
    y, series = _labels_of(x, with_rows, files), series_in_rows(x, files)
    if y is not None:
        label = _label_field(y)
        fields = {"x": _field(x), "y": label}
        is_categorical = _is_integer(y) and not y.schema.row_shape and label.decode != "cf"
        agree = _files_that_agree([x, y], files)
        return InferredFields(fields, (x, y), Rows(), agree, is_categorical, series)
    if series is not None:
        return InferredFields({"x": _field(x)}, (x,), Rows(), x.files_alike(), series=series)
    return _without_labels_in_rows(x, [dataset for dataset in candidates if not dataset.schema.shape], attrs)


def _of_family(family: Family, files: int) -> InferredFields:
    """Fields with a ``*``: each match is a series."""
    x, y = family.choose()
    chosen = (x,) if y is None else (x, y)
    fields = dict(zip("xy", family.fields(chosen), strict=False))
    decoded = {key: _field(dataset).decode for key, dataset in zip("xy", chosen, strict=False)}
    fields = {key: dataclasses.replace(field, decode=decoded[key]) for key, field in fields.items()}
    is_class = None if y is None else _is_integer(y) and not y.schema.row_shape
    # Datasets of one shape, each of them one of many, are samples; groups are episodes.
    is_whole = "*" in x.path.rpartition("/")[2] and np.unique(x.rows).size == 1
    samples = Whole() if is_whole else Rows()
    return InferredFields(fields, chosen, samples, np.intersect1d(np.arange(files), x.files), is_class)


def _check_bulk(datasets: Sequence[DatasetSummary]) -> None:
    """Raise if most of the data cannot be a field: the remaining data would be a misleading choice."""
    if not datasets:
        raise FieldError("the files hold no dataset")
    unusable = [dataset for dataset in datasets if _problem(dataset) and dataset.schema.dtype != "text"]
    if 2 * sum(dataset.weight for dataset in unusable) <= sum(dataset.weight for dataset in datasets):
        return
    largest = max(unusable, key=lambda dataset: dataset.weight)
    if largest.is_pattern and not largest.schema.refusal:
        raise UnsupportedFieldError(
            f"most of the data lie in the {len(largest.paths):,} datasets '/{largest.path}', but a field names one "
            "dataset, the same in each file. Write one file for each, or all rows into one dataset"
        )
    raise UnsupportedFieldError(f"most of the data lie in '/{largest.path}', which {_problem(largest)}")


def _problem(dataset: DatasetSummary) -> str:
    """Why a dataset cannot be a field of values; empty if it can."""
    if dataset.is_pattern or dataset.schema.refusal:
        return dataset.schema.refusal or "is one of many"
    return next((notes.problem for notes, _ in dataset.annotations if notes.problem), "")


def _check_buckets(datasets: Sequence[DatasetSummary]) -> None:
    """Raise for the layout of SeisBench: only a table beside the file says what the rows are."""
    buckets = [dataset for dataset in datasets if _BUCKET.search(dataset.path)]
    is_seisbench = any("data_format" in dataset.path.split("/") for dataset in datasets)
    if buckets and is_seisbench and not any(dataset.schema.refusal for dataset in buckets):
        raise UnsupportedFieldError(
            f"'/{buckets[0].path}' is a bucket of SeisBench: its rows are traces of different lengths, padded with "
            "zeros. Lengths, labels and splits are in metadata.csv beside the file (trace_name 'bucket0$0,:3,:949' is "
            "row 0, 949 samples of 3 components). Write windows of one length and their labels to datasets with one "
            f"row each; fields={{'x': {buckets[0].paths[0]!r}}} delivers the padded traces of one bucket"
        )


def _numbered_columns(datasets: Sequence[DatasetSummary]) -> tuple[DatasetSummary, ...]:
    """All datasets, if they are the numbered columns of a table: many, of one axis and one length."""
    usable = [dataset for dataset in datasets if not dataset.schema.refusal]
    are_columns = all(len(dataset.schema.shape) == 1 for dataset in usable)
    if are_columns and any(dataset.is_pattern and "/" not in dataset.path for dataset in usable):
        return tuple(usable)
    return ()


def _series_tables(datasets: Iterable[DatasetSummary]) -> frozenset[str]:
    """Paths of the datasets that divide the rows of others, such as offsets and flags; they are no samples."""
    return frozenset(
        path
        for dataset in datasets
        for notes, _ in dataset.annotations
        for table in notes.series
        for path in table.paths
    )


def _fields_of_table(table: DatasetSummary) -> InferredFields:
    names = [column.name for column in table.schema.columns]
    # pandas keeps the index of a table as its first column.
    columns = ([name for name in names if name != "index"] or names)[:_MAX_COLUMNS]
    missing = {found.column for notes, _ in table.annotations for found in notes.missing_columns}
    members = [
        Field(table.path, member=column, decode="stored" if column in missing else None) for column in columns
    ]
    fields = dict(zip(keys_of(columns), members, strict=True))
    return InferredFields(fields, (table,), Rows(), table.files_alike())


def _field(dataset: DatasetSummary, *, constant: bool = False) -> Field:
    """A field with the values that the file describes: packed values are decoded."""
    encodings = [notes.encoding for notes, _ in dataset.annotations]
    is_packed = any(
        encoding is not None and encoding.is_packed and encoding.kind != "codes" for encoding in encodings
    )
    is_masked = any(notes.masked is not None for notes, _ in dataset.annotations)
    return Field(dataset.path, constant=constant, decode="cf" if is_packed or is_masked else None)


def _label_field(dataset: DatasetSummary, *, constant: bool = False) -> Field:
    """A field of labels: class numbers stay as stored, and so does the number that marks a missing one."""
    if _has_names(dataset):
        return Field(path_of_names(dataset), constant=constant, categories=True)
    said = [notes for notes, _ in dataset.annotations]
    has_gaps = any(one.missing is not None or one.masked is not None for one in said)
    is_packed = any(one.encoding is not None and one.encoding.is_packed for one in said)
    if has_gaps and _is_integer(dataset) and not is_packed:
        return Field(dataset.path, constant=constant, decode="stored")
    return _field(dataset, constant=constant)


def _has_names(dataset: DatasetSummary) -> bool:
    """Whether labels are delivered as the numbers of their names, which stay the same over all files."""
    return is_cell_type(dataset) or has_several_lists(dataset)


def keys_of(columns: Iterable[str]) -> list[str]:
    """Distinct keys that Python, YAML and Hydra read as text: Hydra's grammar has no quotes for keys."""
    keys: list[str] = []
    for column in columns:
        key = re.sub(r"\W+", "_", column, flags=re.ASCII)
        if not key[:1].isalpha() or key.lower() in _RESERVED_KEYS:
            key = f"column_{key}"
        while key in keys:
            key += "_"
        keys.append(key)
    return keys


def _labels_of(x: DatasetSummary, datasets: Iterable[DatasetSummary], files: int) -> DatasetSummary | None:
    """The dataset with one label per row of ``x``: the one with such a name, or the only dataset of integers."""
    candidates = [
        dataset
        for dataset in datasets
        if dataset is not x
        and not dataset.schema.members
        and 2 * _files_that_agree([x, dataset], files).size > files
    ]
    if named := [dataset for dataset in candidates if is_label(dataset.path) or is_cell_type(dataset)]:
        return min(named, key=lambda dataset: (dataset.schema.categories is None, dataset.weight))
    integers = [
        dataset
        for dataset in candidates
        if _is_integer(dataset)
        and len(dataset.schema.shape) == 1
        and not _COUNTER_WORDS & words_of(dataset.path)
        and not _FLAG_ROLES & roles_of(dataset.path.rpartition("/")[2])
    ]
    return integers[0] if len(integers) == 1 and x.schema.row_shape else None


def _without_labels_in_rows(
    x: DatasetSummary, scalars: Sequence[DatasetSummary], attrs: Mapping[str, Any]
) -> InferredFields:
    """Fields if the label, where there is one, belongs to the file."""
    files = x.files_alike()
    is_equally_long = files.size > 1 and np.unique(x.rows[np.isin(x.files, files)]).size == 1
    skipped_words = _COUNTER_WORDS | _START_WORDS
    scalars = [dataset for dataset in scalars if not skipped_words & words_of(dataset.path)]
    named = [dataset for dataset in scalars if is_label(dataset.path)]
    labels = named or (scalars if len(scalars) == 1 else [])
    attr = next(
        (name for name, value in attrs.items() if is_label(name) and isinstance(value, (int, float))), None
    )
    samples = Whole() if is_equally_long and (labels or attr or _is_image(x)) else Rows()
    fields = {"x": _field(x)}
    if labels:
        fields["y"] = _label_field(labels[0], constant=True)
        files = np.intersect1d(files, _files_alike(labels[0]))
        return InferredFields(fields, (x, labels[0]), samples, files, _is_integer(labels[0]))
    if attr is not None:
        fields["y"] = Field(attr=attr)
        return InferredFields(fields, (x,), samples, files, isinstance(attrs[attr], int))
    return InferredFields(fields, (x,), samples, files)


def _files_that_agree(datasets: Sequence[DatasetSummary], files: int) -> Int64Array:
    """The files in which all of these datasets have their usual layout, and one length."""
    rows = [dataset.rows_by_file(files) for dataset in datasets]
    agree = np.flatnonzero(np.logical_and.reduce([one == rows[0] for one in rows]))
    for dataset in datasets:
        agree = np.intersect1d(agree, _files_alike(dataset))
    return agree


def _files_alike(dataset: DatasetSummary) -> Int64Array:
    return files_alike_but_names(dataset) if _has_names(dataset) else dataset.files_alike()


def _is_integer(dataset: DatasetSummary) -> bool:
    return np.dtype(dataset.schema.dtype).kind in "iub"


def _is_image(dataset: DatasetSummary) -> bool:
    shape = dataset.schema.shape
    return len(shape) == 3 and shape[-1] in IMAGE_CHANNELS and _is_integer(dataset)
