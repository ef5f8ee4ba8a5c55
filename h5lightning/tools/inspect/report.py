"""The report: everything found about some files, as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from h5lightning.errors import H5LightningError
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.storage.discovery import discover
from h5lightning.tools.inspect.convention_issues import find_meanings
from h5lightning.tools.inspect.issues import Issue, find_traps
from h5lightning.tools.inspect.snippets import Code, code_for
from h5lightning.tools.inspect.wording import hints, layout_words, shape_text, storage_text, type_text
from h5lightning.tools.overview.axis_meaning import row_axis
from h5lightning.tools.overview.bookkeeping import is_bookkeeping
from h5lightning.tools.overview.dataset_table import Entry, entries_of
from h5lightning.tools.overview.file_attributes import groupings, is_of_matlab
from h5lightning.tools.overview.guess_fields import Guess, guess
from h5lightning.tools.overview.reader_choice import Reading, readings_of
from h5lightning.tools.overview.scan import scan_readable, shared_attrs
from h5lightning.tools.overview.suggest import suggest

__all__ = ["DatasetReport", "Inspection", "inspect_files"]


@dataclasses.dataclass(frozen=True, slots=True)
class DatasetReport:
    """One dataset, or one family of datasets, over all files.

    Args:
        path: path in the file; with a ``*`` where many datasets are alike.
        datasets: how many datasets of one name or family there are.
        dtype: type in NumPy's words.
        shape: all axes, the first with the lengths that occur.
        storage: chunks and filters.
        stored_bytes: what it takes in all files.
        rows: shortest and longest sample axis; None for a scalar.
        files: how many files hold it.
        variants: in how many ways it is stored.
        keys: keys of the suggested sample that it serves.
        refusal: why no field can be made of it; empty if one can.
        read_by: which reader reads it, in how many files, and why it is h5py where it is.
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
        patterns: what was asked for.
        root: the deepest directory that they have in common.
        files: files that could be read.
        file_bytes: their size.
        datasets: what they hold; last, what programs keep for themselves.
        layout: how it is laid out, in words.
        traps: what to know before training, the worst first.
        bad: files that cannot be read, and why.
        skipped: files that the patterns match, but that are no HDF5.
        code: code for these files; None where a DataModule cannot use them.
        reason: why it cannot; empty where it can.
        left_out: readable files that the code leaves out, since they differ.
        split_by: what the split of the code keeps whole; empty where there is too little to divide.
        hints: what could be changed in the code, and why.
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
        """Whether a DataModule can train on these files, with the code that is suggested."""
        return self.code is not None

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        return {"usable": self.is_usable, **dataclasses.asdict(self)}


def inspect_files(
    patterns: Sequence[str], *, processes: int | None = None, progress: bool = True
) -> Inspection:
    """Look at files without reading their values. A bad file is reported, and does not end the report.

    Args:
        patterns: globs or paths.
        processes: scanning processes for many files; None for one on each core.
        progress: show a bar where somebody watches.

    Raises:
        DiscoveryError: patterns that cannot be used, or match nothing.
    """
    found = discover(list(patterns))
    catalog = scan_readable(found, processes=processes, progress=progress)
    entries = entries_of(catalog)
    data = [entry for entry in entries if not is_bookkeeping(entry.schema)]
    is_matlab = len(catalog) > 0 and is_of_matlab(catalog.path(0))
    guessed, verdict = _judge(patterns, catalog, entries, is_matlab=is_matlab)
    readings = readings_of(entries, catalog)
    meanings = find_meanings(data, catalog, is_matlab=is_matlab)
    return Inspection(
        patterns=tuple(patterns),
        root=found.root,
        files=len(catalog),
        file_bytes=int(catalog.stamps[:, 0].sum()),
        datasets=tuple(
            _report(entry, guessed, readings[entry.path])
            for entry in sorted(entries, key=lambda entry: is_bookkeeping(entry.schema))
        ),
        layout=layout_words(data, guessed, len(catalog)),
        traps=find_traps(data, tuple(catalog.names), readings, meanings),
        bad=catalog.skipped,
        skipped=found.skipped,
        **verdict,
    )


def _judge(
    patterns: Sequence[str], catalog: Catalog, entries: Sequence[Entry], *, is_matlab: bool
) -> tuple[Guess | None, dict[str, Any]]:
    """What a sample is made of, and whether that works: the last arguments of an `Inspection`."""
    guessed = None
    try:
        guessed = guess(entries, len(catalog), shared_attrs(catalog))
        suggestion = suggest(patterns, catalog, guessed)
    except H5LightningError as error:
        return guessed, {"reason": str(error) if len(catalog) else "none of the files can be read"}
    return guessed, {
        "code": code_for(suggestion),
        "left_out": suggestion.left_out,
        "split_by": suggestion.split_by,
        "hints": hints(
            guessed,
            groupings(catalog),
            may_be_time=row_axis(guessed.entries[0], entries, is_matlab=is_matlab).may_be_time,
        ),
    }


def _report(entry: Entry, guessed: Guess | None, readings: tuple[Reading, ...]) -> DatasetReport:
    fields = {} if guessed is None else guessed.fields or {}
    return DatasetReport(
        path=entry.path,
        datasets=len(entry.paths),
        dtype=type_text(entry),
        shape=shape_text(entry),
        storage=storage_text(entry),
        stored_bytes=int(entry.stored_bytes.sum()),
        rows=(int(entry.rows.min()), int(entry.rows.max())) if entry.schema.shape else None,
        files=int(np.unique(entry.files).size),
        variants=len(entry.variants),
        keys=tuple(key for key, field in fields.items() if field.path == entry.path and field.attr is None),
        refusal=entry.schema.refusal,
        read_by=readings,
    )
