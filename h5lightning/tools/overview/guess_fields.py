"""From what the files hold to what a sample is probably made of: the biggest dataset, and its labels."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError, UnsupportedFieldError
from h5lightning.options import Field, Rows, Samples, Whole
from h5lightning.tools.overview.bookkeeping import is_bookkeeping
from h5lightning.tools.overview.dataset_names import is_label, words_of
from h5lightning.tools.overview.dataset_table import Entry

__all__ = ["Guess", "guess"]


_COUNTER_WORDS = frozenset(
    ["axis", "id", "ids", "index", "indices", "idx", "time", "timestamp", "step", "offset", "ptr"]
)
_START_WORDS = frozenset(["start", "starting", "rate", "version", "date", "reference"])
_BUCKET = re.compile(r"(?:^|/)data/bucket[\d*]*$")
_MOST_COLUMNS = 8
# What YAML or Hydra would not read as text, and keys that batches use.
_NO_KEYS = frozenset(
    ["null", "true", "false", "yes", "no", "on", "off", "nan", "inf", "sample_id", "is_repeat"]
)
_IMAGE_CHANNELS = (1, 3, 4)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """What a sample is made of.

    Args:
        fields: sample key → `Field`; None for all datasets.
        entries: the datasets behind the fields.
        samples: how samples lie in a file.
        files: the files in which these datasets agree, ascending, ``(files,)``.
        is_categorical: whether ``y`` numbers classes; None without ``y``.
    """

    fields: Mapping[str, Field] | None
    entries: tuple[Entry, ...]
    samples: Samples
    files: Int64Array
    is_categorical: bool | None = None


def guess(entries: Sequence[Entry], files: int, attrs: Mapping[str, Any]) -> Guess:
    """Choose fields.

    Args:
        entries: the datasets.
        files: how many files hold them.
        attrs: the attributes of one file.

    Raises:
        FieldError: there is nothing to choose, or most of the data cannot be a field.
    """
    entries = [entry for entry in entries if not is_bookkeeping(entry.schema)]
    if columns := _numbered_columns(entries):
        return Guess(None, columns, Rows(), np.arange(files))
    _check_buckets(entries)
    _check_bulk(entries)
    tables = _series_tables(entries)
    found = [entry for entry in entries if not _problem(entry) and 2 * entry.files.size > files]
    found = [entry for entry in found if entry.path not in tables]
    with_rows = [entry for entry in found if entry.schema.shape]
    if not with_rows:
        raise FieldError("the files have no dataset in common that can be a field")
    x = max(with_rows, key=lambda entry: (not is_label(entry.path), entry.weight))
    if x.schema.members:
        return _table(x)
    y = _labels_of(x, with_rows, files)
    if y is not None:
        label = _label_field(y)
        fields = {"x": _field(x), "y": label}
        is_categorical = _is_integer(y) and not y.schema.row_shape and label.decode != "cf"
        return Guess(fields, (x, y), Rows(), _agreeing([x, y], files), is_categorical)
    return _without_labels_in_rows(x, [entry for entry in found if not entry.schema.shape], attrs)


# ── what cannot be guessed around ────────────────────────────────────────────────────────────────────


def _check_bulk(entries: Sequence[Entry]) -> None:
    """Raise if most of the data are out of reach: what is left would be a misleading choice."""
    if not entries:
        raise FieldError("the files hold no dataset")
    out_of_reach = [entry for entry in entries if _problem(entry) and entry.schema.dtype != "text"]
    if 2 * sum(entry.weight for entry in out_of_reach) <= sum(entry.weight for entry in entries):
        return
    bulk = max(out_of_reach, key=lambda entry: entry.weight)
    if bulk.is_family and not bulk.schema.refusal:
        raise UnsupportedFieldError(
            f"most of the data lie in the {len(bulk.paths):,} datasets '/{bulk.path}' and their like, and a field "
            "names one dataset, the same in each file. Write a file for each, or all rows into one dataset"
        )
    raise UnsupportedFieldError(f"most of the data lie in '/{bulk.path}', which {_problem(bulk)}")


def _problem(entry: Entry) -> str:
    """Why no field of values is made of a dataset; empty if one can be."""
    if entry.is_family or entry.schema.refusal:
        return entry.schema.refusal or "is one of many"
    encodings = (said.encoding for said, _ in entry.said)
    return next((encoding.problem for encoding in encodings if encoding and encoding.problem), "")


def _check_buckets(entries: Sequence[Entry]) -> None:
    """Raise for the layout of SeisBench: what its rows are, only a table beside the file says."""
    buckets = [entry for entry in entries if _BUCKET.search(entry.path)]
    is_seisbench = any("data_format" in entry.path.split("/") for entry in entries)
    if buckets and is_seisbench and not any(entry.schema.refusal for entry in buckets):
        raise UnsupportedFieldError(
            f"'/{buckets[0].path}' is a bucket of SeisBench: its rows are traces of different lengths, padded with "
            "zeros. Lengths, labels and splits are in metadata.csv beside the file (trace_name 'bucket0$0,:3,:949' is "
            "row 0, 949 samples of 3 components). Write windows of one length and their labels to datasets with a row "
            f"for each; fields={{'x': {buckets[0].paths[0]!r}}} delivers the padded traces of one bucket"
        )


def _numbered_columns(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """All datasets, if they are the numbered columns of a table: many, of one axis and one length."""
    usable = [entry for entry in entries if not entry.schema.refusal]
    are_columns = all(len(entry.schema.shape) == 1 for entry in usable)
    if are_columns and any(entry.is_family and "/" not in entry.path for entry in usable):
        return tuple(usable)
    return ()


def _series_tables(entries: Iterable[Entry]) -> frozenset[str]:
    """Paths of the datasets that divide the rows of others: offsets and flags, but no samples."""
    return frozenset(
        path for entry in entries for said, _ in entry.said for table in said.series for path in table.paths
    )


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────


def _table(entry: Entry) -> Guess:
    names = [column.name for column in entry.schema.columns]
    # pandas keeps the index of a table as its first column.
    columns = ([name for name in names if name != "index"] or names)[:_MOST_COLUMNS]
    missing = {found.column for said, _ in entry.said for found in said.missing_columns}
    members = [
        Field(entry.path, member=column, decode="stored" if column in missing else None) for column in columns
    ]
    fields = dict(zip(_keys_of(columns), members, strict=True))
    return Guess(fields, (entry,), Rows(), entry.files_alike())


def _field(entry: Entry, *, constant: bool = False) -> Field:
    """A field of values as the file means them."""
    encodings = [said.encoding for said, _ in entry.said if said.encoding is not None]
    is_packed = any(encoding.is_packed and encoding.kind != "codes" for encoding in encodings)
    is_masked = any(said.masked is not None for said, _ in entry.said)
    return Field(entry.path, constant=constant, decode="cf" if is_packed or is_masked else None)


def _label_field(entry: Entry, *, constant: bool = False) -> Field:
    """A field of labels: numbers of classes stay numbers, a missing one has a number of its own."""
    has_gaps = any(said.missing is not None or said.masked is not None for said, _ in entry.said)
    is_packed = any(said.encoding is not None and said.encoding.is_packed for said, _ in entry.said)
    if has_gaps and _is_integer(entry) and not is_packed:
        return Field(entry.path, constant=constant, decode="stored")
    return _field(entry, constant=constant)


def _keys_of(columns: Iterable[str]) -> list[str]:
    """Keys that Python, YAML and Hydra read as text, each once: Hydra's grammar has no quotes for keys."""
    keys: list[str] = []
    for column in columns:
        key = re.sub(r"\W+", "_", column, flags=re.ASCII)
        if not key[:1].isalpha() or key.lower() in _NO_KEYS:
            key = f"column_{key}"
        while key in keys:
            key += "_"
        keys.append(key)
    return keys


def _labels_of(x: Entry, others: Iterable[Entry], files: int) -> Entry | None:
    """The dataset with one label for each row of ``x``: by its name, or the only small integers there are."""
    beside = [entry for entry in others if entry is not x and 2 * _agreeing([x, entry], files).size > files]
    beside = [entry for entry in beside if not entry.schema.members]
    named = [entry for entry in beside if is_label(entry.path)]
    if named:
        return min(named, key=lambda entry: (entry.schema.categories is None, entry.weight))
    integers = [entry for entry in beside if _is_integer(entry) and len(entry.schema.shape) == 1]
    integers = [entry for entry in integers if not _COUNTER_WORDS & words_of(entry.path)]
    return integers[0] if len(integers) == 1 and x.schema.row_shape else None


def _without_labels_in_rows(x: Entry, scalars: Sequence[Entry], attrs: Mapping[str, Any]) -> Guess:
    """Fields where the label, if there is one, belongs to the file."""
    files = x.files_alike()
    is_equally_long = files.size > 1 and np.unique(x.rows[np.isin(x.files, files)]).size == 1
    scalars = [entry for entry in scalars if not (_COUNTER_WORDS | _START_WORDS) & words_of(entry.path)]
    named = [entry for entry in scalars if is_label(entry.path)] or (scalars if len(scalars) == 1 else [])
    attr = next(
        (name for name, value in attrs.items() if is_label(name) and isinstance(value, (int, float))), None
    )
    samples = Whole() if is_equally_long and (named or attr or _is_image(x)) else Rows()
    fields = {"x": _field(x)}
    if named:
        fields["y"] = _label_field(named[0], constant=True)
        files = np.intersect1d(files, named[0].files_alike())
        return Guess(fields, (x, named[0]), samples, files, _is_integer(named[0]))
    if attr is not None:
        fields["y"] = Field(attr=attr)
        return Guess(fields, (x,), samples, files, isinstance(attrs[attr], int))
    return Guess(fields, (x,), samples, files)


def _agreeing(entries: Sequence[Entry], files: int) -> Int64Array:
    """The files in which all of these have their usual layout, and one length."""
    rows = [entry.rows_by_file(files) for entry in entries]
    agree = np.flatnonzero(np.logical_and.reduce([found == rows[0] for found in rows]))
    for entry in entries:
        agree = np.intersect1d(agree, entry.files_alike())
    return agree


# ── what a name and a shape say ──────────────────────────────────────────────────────────────────────


def _is_integer(entry: Entry) -> bool:
    return np.dtype(entry.schema.dtype).kind in "iub"


def _is_image(entry: Entry) -> bool:
    shape = entry.schema.shape
    return len(shape) == 3 and shape[-1] in _IMAGE_CHANNELS and _is_integer(entry)
