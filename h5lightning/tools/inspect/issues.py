"""What makes files slow to train from, or hard to train from correctly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import bytes_text, counted
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.schema_difference import explain_difference
from h5lightning.planning.conventions.series_borders import evidence_text
from h5lightning.planning.values.conversions import wider_type
from h5lightning.tools.overview.dataset_table import Entry
from h5lightning.tools.overview.reader_choice import Reading

__all__ = ["SEVERITIES", "Issue", "find_traps", "row_span", "where_text"]

Names = Sequence[str]

SEVERITIES = ("problem", "warning", "note")

_MIB = 1024 * 1024
_LARGE_CHUNK_BYTES = 16 * _MIB
_MANY_ROWS = 8
_SMALL_SHARE = 0.01  # of the data: too little to be slow
_MOST_LISTED = 3
_BUILT_IN_FILTERS = ("deflate", "shuffle", "fletcher32", "szip", "nbit", "scaleoffset", "lzf")


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing to know before training.

    Args:
        kind: a word for machines, such as ``float64``.
        severity: ``problem``: training fails, or would be wrong; ``warning``: slow or surprising; ``note``.
        text: what, where, and what to do.
        paths: the datasets.
        files: how many files have it.
    """

    kind: str
    severity: str
    text: str
    paths: tuple[str, ...] = ()
    files: int = 0


def find_traps(
    entries: Sequence[Entry],
    names: Names,
    readings: Mapping[str, Sequence[Reading]],
    others: Iterable[Issue] = (),
) -> tuple[Issue, ...]:
    """All traps, the worst first.

    Args:
        entries: the datasets.
        names: the files that could be read.
        readings: path → how the dataset is read.
        others: what is known beside that.
    """
    total = sum(entry.weight for entry in entries)
    large = [entry for entry in entries if entry.weight > _SMALL_SHARE * total and not entry.schema.refusal]
    found = [*_together(entries, names), *others]
    found += [trap for find in _IN_SOME_FILES for entry in entries for trap in find(entry, names)]
    found += [trap for find in _SLOW for entry in large for trap in find(entry)]
    found += [trap for find in _IN_ITSELF for entry in entries for trap in find(entry)]
    for entry in entries:
        found += _not_direct(entry, readings[entry.path], is_large=entry in large)
    return tuple(sorted(_merged(found), key=lambda trap: SEVERITIES.index(trap.severity)))


def row_span(rows: Int64Array) -> str:
    """The lengths that occur, such as ``60–140``."""
    low, high = int(rows.min()), int(rows.max())
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _merged(traps: Iterable[Issue]) -> list[Issue]:
    """Traps of the same kind and wording as one; the text may begin with ``{}``, the datasets."""
    alike: dict[tuple[str, str, str], list[Issue]] = {}
    for trap in traps:
        alike.setdefault((trap.kind, trap.severity, trap.text), []).append(trap)
    merged = []
    for (_, _, text), group in alike.items():
        paths = tuple(path for trap in group for path in trap.paths)
        subject = _some([f"'/{path}'" for path in paths]) + (": each" if len(group) > 1 else "")
        told = subject + text.removeprefix("{}") if text.startswith("{}") else text
        merged.append(replace(group[0], text=told, paths=paths, files=max(trap.files for trap in group)))
    return merged


# ── of one dataset ───────────────────────────────────────────────────────────────────────────────────


def _refused(entry: Entry) -> Iterator[Issue]:
    refusal = entry.schema.refusal
    if refusal:
        kind = entry.schema.storage if entry.schema.storage in ("virtual", "external") else "unusable"
        yield Issue(kind, "note", f"{{}} {refusal}", (entry.path,), len(entry.files))


def _different_rows(entry: Entry, names: Names) -> Iterator[Issue]:
    for variant in entry.variants[1:]:
        difference = explain_difference(variant.schema, entry.schema)
        if not difference:
            continue
        where = where_text(variant.files, names)
        if " has categories " in f" {difference}":
            yield Issue(
                "categories",
                "problem",
                f"'/{entry.path}' {difference} as in most files, {where}: one code means different things. "
                "Write all files with one list of categories",
                (entry.path,),
                variant.files.size,
            )
        else:
            text = f"'/{entry.path}' {difference} as in most files, {where}{_dtype_remedy(entry, variant.schema)}"
            yield Issue("different rows", "problem", text, (entry.path,), variant.files.size)


def _dtype_remedy(entry: Entry, found: DatasetSchema) -> str:
    """What reads both types, where nothing else differs."""
    if found.refusal or found.members or explain_difference(found, entry.schema, any_type=True):
        return ""
    wider = wider_type(found.dtype, entry.schema.dtype)
    return f". Field({entry.path!r}, dtype={wider!r}) delivers one type, whatever each file stores"


def _different_storage(entry: Entry) -> Iterator[Issue]:
    stored = {_storage(variant.schema) for variant in entry.variants}
    if len(stored) > 1:
        text = f"{{}} is stored in different ways: {_some(sorted(stored))}; it reads right, some files slower"
        yield Issue("different storage", "note", text, (entry.path,), len(entry.files))


def _never_written(entry: Entry, names: Names) -> Iterator[Issue]:
    files = np.unique(entry.files[entry.missing > 0])
    if files.size and not entry.schema.refusal:
        chunks = counted(int(entry.missing[entry.missing > 0].sum()), "chunk")
        yield Issue(
            "never written",
            "problem",
            f"'/{entry.path}': {chunks} never written, {where_text(files, names)}: HDF5 would invent their values. "
            "Write them, leave the files out, or accept it with access.on_missing='fill'",
            (entry.path,),
            files.size,
        )


def _absent(entry: Entry, names: Names) -> Iterator[Issue]:
    have = np.unique(entry.files)
    if len(names) / 2 <= have.size < len(names):
        lack = np.setdiff1d(np.arange(len(names)), have)
        yield Issue(
            "absent", "warning", f"{{}} is absent {where_text(lack, names)}", (entry.path,), lack.size
        )


def _several_series(entry: Entry, names: Names) -> Iterator[Issue]:
    if entry.schema.refusal or not entry.series:
        return
    files = np.unique(np.concatenate([own for _, own in entry.series]))
    likewise = (
        f", and {counted(len(entry.series) - 1, 'more table')} likewise" if len(entry.series) > 1 else ""
    )
    text = (
        f"{{}} holds several series one after the other, {where_text(files, names)}: "
        f"{evidence_text(entry.series[0][0])}{likewise}. Single rows are fine; samples=Windows(…) would cross their "
        "borders, and is an error without series='file'"
    )
    yield Issue("several series", "note", text, (entry.path,), files.size)


def _float64(entry: Entry) -> Iterator[Issue]:
    if entry.is_float64:
        text = (
            "{} is float64, and models are float32: dtype='float32' converts batches, half the bytes would do"
        )
        yield Issue("float64", "warning", text, (entry.path,), len(entry.files))


def _chunk_reads(entry: Entry) -> Iterator[Issue]:
    schema, longest = entry.schema, int(entry.rows.max(initial=0))
    if not schema.is_decoded_by_chunk or not schema.chunks or min(schema.chunks[0], longest) < _MANY_ROWS:
        return
    rows = min(schema.chunks[0], longest)
    cost = f"a row costs {bytes_text(rows * schema.row_bytes)} in place of {bytes_text(schema.row_bytes)}"
    if longest <= schema.chunks[0]:
        text = f"{{}} lies in one compressed chunk, so that {cost}. Write chunks of about 1 MiB or less"
        yield Issue("one chunk", "warning", text, (entry.path,), len(entry.files))
    else:
        text = (
            f"{{}} has compressed chunks of {rows:,} rows: read alone, {cost} ({rows:,} times). So shuffle='auto' "
            "reads whole chunks in random order; shuffle='full' would be slow"
        )
        yield Issue("amplified reads", "warning", text, (entry.path,), len(entry.files))


def _large_chunks(entry: Entry) -> Iterator[Issue]:
    size = math.prod(entry.schema.chunks or (0,)) * entry.schema.itemsize
    if size > _LARGE_CHUNK_BYTES and entry.schema.is_decoded_by_chunk:
        text = f"{{}} has chunks of {bytes_text(size)}, which each thread must hold. 1 MiB is plenty"
        yield Issue("large chunks", "warning", text, (entry.path,), len(entry.files))


def _not_direct(entry: Entry, readings: Sequence[Reading], *, is_large: bool) -> Iterator[Issue]:
    """What h5py must read, and what nothing can."""
    for reading in readings:
        if reading.reader == "none":
            yield Issue("damaged", "problem", reading.reason, (entry.path,), reading.files)
        # Of values that were never written, another trap speaks.
        elif reading.reason and "never written" not in reading.reason:
            text = f"{{}} {reading.reason}: read through h5py, by one thread at a time{_plugins(entry)}"
            yield Issue("h5py", "warning" if is_large else "note", text, (entry.path,), reading.files)


def _plugins(entry: Entry) -> str:
    used = {text.partition("(")[0] for variant in entry.variants for text in variant.schema.filters}
    needed = sorted(used.difference(_BUILT_IN_FILTERS))
    return f", which takes a plug-in for {' and '.join(needed)}: pip install hdf5plugin" if needed else ""


def _big_endian(entry: Entry) -> Iterator[Issue]:
    if entry.schema.dtype.startswith(">"):
        text = "{} is big-endian: fine, batches have the byte order of the machine"
        yield Issue("big-endian", "note", text, (entry.path,), len(entry.files))


_SLOW: tuple[Callable[[Entry], Iterator[Issue]], ...] = (_float64, _chunk_reads, _large_chunks)
_IN_ITSELF: tuple[Callable[[Entry], Iterator[Issue]], ...] = (
    _refused,
    _different_storage,
    _big_endian,
)
_IN_SOME_FILES: tuple[Callable[[Entry, Names], Iterator[Issue]], ...] = (
    _different_rows,
    _never_written,
    _absent,
    _several_series,
)


# ── of files as a whole ──────────────────────────────────────────────────────────────────────────────


def _together(entries: Sequence[Entry], names: Names) -> Iterator[Issue]:
    if len(names) > 1 and entries and not any(np.unique(entry.files).size == len(names) for entry in entries):
        most = max(entries, key=lambda entry: int(np.unique(entry.files).size))
        share = f"'/{most.path}' is in {np.unique(most.files).size} of {len(names)}"
        text = f"No dataset is in all files: {share}. Are these files of one data set?"
        yield Issue("nothing in common", "problem", text, (), len(names))
    yield from _without_rows(entries, names)
    yield from _unequal_lengths(entries, names)


def _without_rows(entries: Sequence[Entry], names: Names) -> Iterator[Issue]:
    empty = [np.unique(entry.files[entry.rows == 0]) for entry in entries if not entry.is_family]
    files = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *empty]))
    if files.size:
        text = f"Datasets without rows, {where_text(files, names)}: access.on_bad_file='skip' accepts that"
        yield Issue("no rows", "warning", text, (), files.size)


def _unequal_lengths(entries: Sequence[Entry], names: Names) -> Iterator[Issue]:
    apart = _with_lengths_of_their_own(entries)
    arrays = [
        entry for entry in entries if entry.is_usable and entry.schema.shape and entry.path not in apart
    ]
    if not arrays:
        return
    table = np.stack([entry.rows_by_file(len(names)) for entry in arrays])
    longest = table.max(axis=0)
    differs = np.flatnonzero(((table >= 0) & (table < longest)).any(axis=0))
    if differs.size:
        lengths = {int(rows): entry.path for entry, rows in zip(arrays, table[:, differs[0]], strict=True)}
        listed = _some(
            [f"'/{lengths[rows]}' {rows:,}" for rows in sorted(lengths, reverse=True) if rows >= 0]
        )
        text = f"Datasets of one file differ in length, {where_text(differs, names)}: {listed}"
        yield Issue("different lengths", "note", text, tuple(entry.path for entry in arrays), differs.size)


def _with_lengths_of_their_own(entries: Sequence[Entry]) -> set[str]:
    """Tables of series, which have a line for each, and values of rows of different lengths."""
    found = {path for entry in entries for table, _ in entry.series for path in table.paths}
    ragged = (
        entry.path
        for entry in entries
        for said, _ in entry.said
        if said.encoding is not None and said.encoding.kind == "ragged"
    )
    return found.union(ragged)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────


def where_text(files: Int64Array, names: Names) -> str:
    """In which files, with the first of them."""
    if files.size == len(names) and len(names) > 1:
        return "in all files"
    listed = ", ".join(names[file] for file in files[:_MOST_LISTED].tolist())
    more = f" and {files.size - _MOST_LISTED:,} more files" if files.size > _MOST_LISTED else ""
    return f"in {listed}{more}"


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST_LISTED:,} more" if len(texts) > _MOST_LISTED else ""
    return ", ".join(texts[:_MOST_LISTED]) + more


def _storage(schema: DatasetSchema) -> str:
    words = [f"chunks {schema.chunks}" if schema.chunks else schema.storage, *schema.filters]
    return " ".join(words)
