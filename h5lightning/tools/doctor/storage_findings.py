"""Values that only HDF5 can read, or that are wider than models use; and files that are too many or too small."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.formatting import bytes_text, counted
from h5lightning.tools.doctor.finding import FASTER, SLOW, Finding
from h5lightning.tools.overview.stored_fields import FAST_FILTERS, Case, StoredField

__all__ = ["MERGEABLE_FILES", "file_findings", "storage_findings"]

MERGEABLE_FILES = 2000  # more are better merged than held open: HDF5 takes half a MiB for each

_SMALL_SHARE = 0.01
_TINY_FILE_BYTES = 64 * 1024  # takes less time to read than to open
_MANY_FILES = 100
_BUILT_IN_DECODERS = frozenset(["deflate", "shuffle", "fletcher32"])
_BUILT_IN_FILTERS = _BUILT_IN_DECODERS | {"szip", "nbit", "scaleoffset", "lzf"}


def storage_findings(case: Case, *, has_codecs: bool) -> Iterator[Finding]:
    """What is found about the values of each field.

    Args:
        case: the fields.
        has_codecs: whether decoders for more than deflate are installed (imagecodecs).
    """
    for field in case.fields:
        others = sorted((set(field.filters) & FAST_FILTERS) - _BUILT_IN_DECODERS)
        if others and not has_codecs:
            yield _no_codec(field, others[0])
        elif reason := _needs_hdf5(field):
            yield _only_hdf5(field, reason)
        yield from _float64(field, case)


def file_findings(case: Case) -> Iterator[Finding]:
    """What is found about the files as a whole."""
    yield from _open_files(case)
    yield from _tiny_files(case)


# ── values ───────────────────────────────────────────────────────────────────────────────────────────


def _needs_hdf5(field: StoredField) -> str:
    """Why only HDF5 can read it, as what a sentence says of the dataset; empty if others can."""
    schema = field.schema
    unknown = [name for name in field.filters if name not in FAST_FILTERS]
    if schema.refusal:
        return schema.refusal
    if unknown:
        plugins = "" if set(unknown) <= _BUILT_IN_FILTERS else ", with a plug-in (pip install hdf5plugin)"
        return f"is stored with {' and '.join(unknown)}, which only HDF5 decodes{plugins}"
    if field.member is not None:
        columns = len(schema.members)
        return f"is a table of {counted(columns, 'column')}, of which HDF5 picks one out of each row"
    if schema.is_converted:
        return "holds elements that HDF5 must convert one by one"
    if schema.storage == "compact":
        return "is compact: its values lie inside of a header"
    return field.reason


def _only_hdf5(field: StoredField, reason: str) -> Finding:
    if field.schema.refusal:
        text, advice = f"'/{field.path}' {reason}", "Copy the values, if all of them are there"
    else:
        text = f"'/{field.path}' {reason}: one thread at a time, and the training loop waits for it"
        advice = (
            "Write its columns as datasets beside it" if field.member else "Write it again in a plain form"
        )
    severity = FASTER if field.schema.storage == "compact" else SLOW
    return Finding("only HDF5", severity, text, advice, (field.path,), field.files.size)


def _no_codec(field: StoredField, name: str) -> Finding:
    return Finding(
        "no codec",
        SLOW,
        f"'/{field.path}' is stored with {name}, for which no fast decoder is installed: HDF5 reads it, one thread at "
        "a time",
        "pip install 'h5lightning[codecs]'",
        (field.path,),
        field.files.size,
    )


def _float64(field: StoredField, case: Case) -> Iterator[Finding]:
    stored = field.schema.element(field.member) or ""
    if stored[1:] == "f8" and field.row_bytes > _SMALL_SHARE * case.sample_bytes:
        total = field.total_bytes // field.itemsize * np.dtype(stored).itemsize
        yield Finding(
            "float64",
            FASTER,
            f"'/{field.path}' is float64, and models are float32: {bytes_text(total)} are read in each epoch where "
            f"{bytes_text(total // 2)} would do",
            "Set dtype='float32' in the DataModule, which converts each batch. Where 7 digits are enough for every use "
            "of the files, 'doctor --float32' stores them so, too, in files elsewhere",
            (field.path,),
            field.files.size,
        )


# ── files ────────────────────────────────────────────────────────────────────────────────────────────


def _open_files(case: Case) -> Iterator[Finding]:
    most = case.loading.open_files
    blocks = case.files if case.mode == "full" else case.window_rows // case.block_rows
    if case.mode == "none" or min(case.files, blocks) <= most:
        return
    if case.files <= MERGEABLE_FILES:
        limit = 2 * case.files + 256
        advice = (
            f"Allow more: 'ulimit -n {limit}' in the shell, and access={{'max_open_files': {case.files}}}"
        )
    else:
        advice = "Write fewer, larger files; or use shuffle='block', which needs few at a time"
    yield Finding(
        "open files",
        SLOW if case.mode == "full" else FASTER,
        f"{case.files:,} files, of which a process holds {most:,} open: in {case.mode} order "
        f"{1 - most / case.files:.0%} of the samples have to open a file first",
        advice,
        (),
        case.files,
    )


def _tiny_files(case: Case) -> Iterator[Finding]:
    size = sum(int(np.maximum(field.rows, 0).sum()) * field.row_bytes for field in case.fields) // case.files
    if case.files >= _MANY_FILES and size < _TINY_FILE_BYTES:
        yield Finding(
            "tiny files",
            SLOW if case.files > case.loading.open_files else FASTER,
            f"{case.files:,} files of {bytes_text(size)} each: to open one takes longer than to read it, and each "
            "batch reads from nearly as many files as it has samples",
            "Merge them into files elsewhere: 'source_file' says where a row comes from, for split.keep_together, and "
            "'attributes/NAME' holds numbers that were attributes of files. Text that differs does not come along",
            (),
            case.files,
        )
