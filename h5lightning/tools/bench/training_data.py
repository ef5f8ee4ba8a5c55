"""The trainable data behind the patterns, and the subset of it that is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import once
from h5lightning.errors import FieldError
from h5lightning.options import Access, Field, Samples, Shuffle, Whole, Windows
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.index import SampleIndex
from h5lightning.storage.discovery import discover
from h5lightning.storage.survey import survey
from h5lightning.tools.overview.dataset_summary import summarize_datasets
from h5lightning.tools.overview.field_lookup import samples_for, stored_fields_of
from h5lightning.tools.overview.infer_fields import infer_fields
from h5lightning.tools.overview.reader_choice import with_reasons
from h5lightning.tools.overview.scan import scan_readable, shared_attrs
from h5lightning.tools.overview.suggest import suggest
from h5lightning.tools.overview.workload import FieldStorage, Workload

__all__ = ["Subset", "TrainingData", "choose_subset", "find_training_data"]

_MOST_FILES = 64  # each is opened in each trial
_FEWEST_CHUNKS = 8  # of a file: its last chunk is decoded for fewer rows than it holds
_NEARLY_ALL = 0.7


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Files that can be trained on.

    Args:
        catalog: the contents of the files.
        arguments: ``fields``, ``samples``, ``series``, ``access`` and ``dtype`` of a DataModule.
        stored: the fields with rows, one entry for each way in which files store them.
        left_out: number of files that are not used.
        index: the samples, if they are windows or rows of an index, or a file may hold several series; else None.
    """

    catalog: Catalog
    arguments: Mapping[str, Any]
    stored: Sequence[FieldStorage]
    left_out: int
    index: SampleIndex | None = None

    @property
    def is_whole(self) -> bool:
        """Whether a sample is a whole series."""
        return isinstance(self.arguments["samples"], Whole)

    @property
    def is_family(self) -> bool:
        """Whether each match of a ``*`` is a series."""
        return any(field.is_family for field in self.stored)

    @property
    def splits_by(self) -> str:
        """What a share of the data keeps whole: ``file``, ``series`` or ``block``."""
        if self.is_whole:
            return "file" if self.index is None else "series"
        return "series" if self.is_family else "block"

    @property
    def datasets(self) -> list[str]:
        """Paths of the datasets with rows."""
        return list(dict.fromkeys(path for field in self.stored for path in field.paths))

    @property
    def columns(self) -> dict[str, list[str | None]]:
        """Members of each dataset with rows, or of the datasets of a path with a ``*``; None for all of it."""
        found: dict[str, dict[str | None, None]] = {}
        for field in self.stored:
            for path in (field.path,) if field.is_family else field.paths:
                found.setdefault(path, {})[field.member] = None
        return {path: list(members) for path, members in found.items()}

    @once
    def rows(self) -> Int64Array:
        """Rows of each file, ``(files,)``."""
        rows = np.zeros(len(self.catalog), np.int64)
        for field in self.stored:
            if field.path == self.stored[0].path and field.key == self.stored[0].key:
                is_counted = np.ones(len(field.rows), np.bool_) if field.is_family else field.path_of == 0
                np.add.at(rows, field.file_of[is_counted], field.rows[is_counted].clip(0))
        return rows

    @once
    def series_of_files(self) -> Int64Array:
        """Series of each file, ``(files,)``."""
        if self.index is None:
            return np.ones(len(self.catalog), np.int64)
        counts = dict(zip(self.index.names, np.diff(self.index.first_series).tolist(), strict=True))
        return np.asarray([counts.get(name, 0) for name in self.catalog.names], np.int64)

    def datasets_of(self, file: int, share: float) -> list[str]:
        """Paths of the datasets of a file with rows; of many series, those of the first share of them."""
        if not self.is_family:
            return self.datasets
        found: list[str] = []
        for field, chosen in zip(self.stored, self._occurrences_of_files, strict=True):
            own = chosen[file]
            found += [field.paths[number] for number in own[: math.ceil(share * len(own))].tolist()]
        return list(dict.fromkeys(found))

    @once
    def _occurrences_of_files(self) -> list[list[Int64Array]]:
        """For each field the numbers of its paths in each file."""
        return [
            np.split(field.path_of, field.file_of.searchsorted(np.arange(1, len(self.catalog))))
            for field in self.stored
        ]

    @property
    def samples(self) -> int:
        """Samples of all files."""
        if self.index is not None:
            return len(self.index)
        return int((self.rows > 0).sum() if self.is_whole else self.rows.sum())

    @once
    def stored_bytes(self) -> int:
        """Bytes of the datasets in the files."""
        # Columns of a table share their bytes.
        by_dataset = {(field.path, field.schema): max(0, field.stored_bytes) for field in self.stored}
        return sum(by_dataset.values())

    @once
    def sample_bytes(self) -> list[int]:
        """Decoded bytes of a sample, for each dataset or column of one."""
        fields = {
            (path, field.member): field
            for field in self.stored
            for path in ((field.path,) if field.is_family else field.paths)
        }
        return [max(1, int(self._numbers(field))) * _itemsize(field) for field in fields.values()]

    def _numbers(self, field: FieldStorage) -> float:
        """Numbers of a sample of a field; of the longest series, and of an entry of an index on average."""
        samples, rows = self.arguments["samples"], field.index_rows or 1
        if field.boxes is not None:
            return math.prod(field.boxes.sizes)
        if isinstance(samples, Whole):
            rows = int((self.rows if self.index is None else self.index.series_rows).max(initial=1))
            rows = min(rows, samples.take or rows)
        elif isinstance(samples, Windows):
            rows = samples.rows
        return rows * math.prod(field.source.row_shape)

    @property
    def decoded_bytes(self) -> int:
        """Decoded bytes of all rows that have filters."""
        return sum(field.total_bytes for field in self.stored if field.schema.is_decoded_by_chunk)

    @property
    def chunk_rows(self) -> int:
        """Rows that are decoded together, at most."""
        return max(field.rows_per_chunk for field in self.stored)

    @property
    def readers(self) -> tuple[str, ...]:
        """The readers that ``reader="auto"`` chooses: ``direct``, ``h5py`` or both."""
        return tuple(sorted({"h5py" if field.reason else "direct" for field in self.stored}))

    def mode(self, shuffle: str) -> str:
        """The mode that ``shuffle`` chooses: ``full``, ``block`` or ``none``."""
        access: Access = self.arguments["access"]
        fields, files, order = tuple(self.stored), len(self.catalog), Shuffle(shuffle)
        return Workload(fields, files, order, access.cache_bytes, is_whole=self.is_whole).mode


def _itemsize(field: FieldStorage) -> int:
    return np.dtype(field.source.dtype).itemsize


def find_training_data(
    patterns: Sequence[str],
    fields: Mapping[str, Field] | None,
    *,
    samples: Samples | None = None,
    series: SeriesOption = None,
    processes: int | None = None,
    progress: bool = True,
) -> TrainingData:
    """Scan the files, and take the named fields, or those that `h5lightning inspect` suggests.

    Args:
        patterns: globs or paths.
        fields: sample key → `Field`; None to guess.
        samples: how samples lie in a series; None for rows, or for what is suggested with the fields.
        series: what a series is; None for a file, for a match of a ``*``, or for what is suggested with the fields.
        processes: scanning processes for many files; None for one on each core.
        progress: show a progress bar if stderr is a terminal.

    Raises:
        DiscoveryError: a pattern cannot be used, or matches nothing.
        FieldError: no file holds a field, or no file can be read.
    """
    catalog = scan_readable(discover(list(patterns)), processes=processes, progress=progress)
    if not len(catalog):
        raise FieldError("none of the files can be read: see 'h5lightning inspect'")
    kept, arguments = _suggested(patterns, catalog) if fields is None else (catalog, _named(catalog, fields))
    if series is not None:
        arguments |= {"series": series, "samples": samples_for(samples, series)}
    arguments |= {"samples": samples or arguments["samples"] or samples_for(None, series)}
    found = stored_fields_of(
        kept, arguments["fields"], samples=arguments["samples"], series=arguments["series"]
    )
    index = None
    is_indexed = any(field.index_rows for field in found.fields)
    if found.has_series or is_indexed or isinstance(found.samples, Windows):
        index = _index_of(kept, arguments)
    left_out = len(catalog) - len(kept) + len(catalog.skipped)
    return TrainingData(kept, arguments, with_reasons(kept, found.fields), left_out, index)


def _named(catalog: Catalog, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Arguments for these fields."""
    access = Access(on_bad_file="skip", max_bad_fraction=1) if catalog.skipped else Access()
    return {"fields": dict(fields), "samples": None, "series": None, "access": access, "dtype": None}


def _index_of(catalog: Catalog, arguments: Mapping[str, Any]) -> SampleIndex:
    """The samples of these files, as training numbers them."""
    paths = [catalog.path(file) for file in range(len(catalog))]
    options = {name: arguments[name] for name in ("access", "dtype", "series")}
    return survey(paths, arguments["fields"], arguments["samples"], **options).index


def _suggested(patterns: Sequence[str], catalog: Catalog) -> tuple[Catalog, dict[str, Any]]:
    """The files that a suggestion keeps, and its arguments."""
    suggestion = suggest(
        patterns, catalog, infer_fields(summarize_datasets(catalog), len(catalog), shared_attrs(catalog))
    )
    left_out = frozenset(suggestion.left_out)
    kept = catalog.take(np.flatnonzero([name not in left_out for name in catalog.names]))
    return kept, {
        name: getattr(suggestion, name) for name in ("fields", "samples", "series", "access", "dtype")
    }


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """Some files, and the share of their rows that is used, from the first row.

    Args:
        files: positions of the files, ascending, ``(files,)``.
        share: in (0, 1].
    """

    files: Int64Array
    share: float

    def is_all(self, files: int) -> bool:
        """Whether it holds all rows of all ``files``."""
        return len(self.files) == files and self.share == 1


def choose_subset(file_rows: Int64Array, rows: int, *, chunk_rows: int, is_divisible: bool = True) -> Subset:
    """About ``rows`` rows from many files, evenly spaced.

    Args:
        file_rows: rows of each file, ``(files,)``.
        rows: the number of rows to choose.
        chunk_rows: rows that are decoded together.
        is_divisible: whether a part of a file makes samples.
    """
    files, most = len(file_rows), min(_MOST_FILES, len(file_rows))
    if not is_divisible:
        count = math.ceil(files * rows / max(1, int(file_rows.sum())))
        return Subset(_spaced(files, max(1, min(most, count))), 1.0)
    chosen = _spaced(files, max(1, min(most, rows // (_FEWEST_CHUNKS * chunk_rows))))
    share = rows / max(1, int(file_rows[chosen].sum()))
    return Subset(chosen, share if share < _NEARLY_ALL else 1.0)


def _spaced(files: int, count: int) -> Int64Array:
    return np.arange(count, dtype=np.int64) * files // count
