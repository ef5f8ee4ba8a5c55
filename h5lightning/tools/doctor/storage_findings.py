"""Findings about values that only HDF5 reads or that are wider than needed, and about too many or too small files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from h5lightning.core.formatting import bytes_text
from h5lightning.tools.doctor.finding import FASTER, SLOW, Finding
from h5lightning.tools.overview.row_storage import FAST_FILTERS, SMALL_SHARE, plugin_hint
from h5lightning.tools.overview.workload import FieldStorage, Workload

__all__ = ["MERGEABLE_FILES", "file_findings", "storage_findings"]

MERGEABLE_FILES = 2000  # more are better merged than held open: HDF5 takes half a MiB for each

_SMALL_FILE_BYTES = 64 * 1024  # opening such a file takes longer than reading it
_MANY_FILES = 100
_BUILT_IN_DECODERS = frozenset(["deflate", "shuffle", "fletcher32"])


def storage_findings(workload: Workload, *, has_codecs: bool) -> Iterator[Finding]:
    """The findings about the values of each field."""
    for field in workload.fields:
        undecoded = sorted((set(field.filters) & FAST_FILTERS) - _BUILT_IN_DECODERS)
        if undecoded and not has_codecs:
            yield _no_codec(field, undecoded[0])
        elif field.schema.refusal or field.reason:
            yield _only_hdf5(field)
        yield from _float64(field, workload)


def file_findings(workload: Workload) -> Iterator[Finding]:
    """The findings about the files as a whole."""
    yield from _open_files(workload)
    yield from _tiny_files(workload)


def _only_hdf5(field: FieldStorage) -> Finding:
    severity = FASTER if field.schema.storage == "compact" else SLOW
    if refusal := field.schema.refusal:
        return Finding.of(
            field, "only HDF5", severity, refusal, "Copy the values, if all of them are available"
        )
    plugins = plugin_hint([field.schema])
    text = f"{field.reason}{plugins}: one thread reads at a time, and the training loop waits for it"
    advice = "Write its columns as separate datasets" if field.member else "Rewrite it in a plain layout"
    return Finding.of(field, "only HDF5", severity, text, advice)


def _no_codec(field: FieldStorage, name: str) -> Finding:
    text = (
        f"is stored with {name}, for which no fast decoder is installed: HDF5 reads it, one thread at a time"
    )
    return Finding.of(field, "no codec", SLOW, text, "pip install 'h5lightning[codecs]'")


def _float64(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    dtype = field.schema.element(field.member) or ""
    if dtype[1:] == "f8" and field.row_bytes > SMALL_SHARE * workload.sample_bytes:
        total = field.total_bytes // field.itemsize * np.dtype(dtype).itemsize
        text = (
            f"is float64, but models use float32: each epoch reads {bytes_text(total)}, where {bytes_text(total // 2)} "
            "would be enough"
        )
        advice = (
            "Set dtype='float32' in the DataModule, which converts each batch. If 7 digits are enough for every use of "
            "the files, 'doctor --float32' prints a program that also stores float32, in new files"
        )
        yield Finding.of(field, "float64", FASTER, text, advice)


def _open_files(workload: Workload) -> Iterator[Finding]:
    if not _needs_hdf5(workload):
        return  # a file that is read directly is opened again within microseconds, or need not be open
    limit = workload.max_open_files
    blocks = workload.files if workload.mode == "full" else workload.window_rows // workload.block_rows
    if workload.mode == "none" or min(workload.files, blocks) <= limit:
        return
    if workload.files <= MERGEABLE_FILES:
        shell, option = (
            f"ulimit -n {2 * workload.files + 256}",
            f"access={{'max_open_files': {workload.files}}}",
        )
        advice = f"Allow more: '{shell}' in the shell, and {option}"
    else:
        advice = "Write fewer, larger files; or use shuffle='block', which needs few at a time"
    severity = SLOW if workload.mode == "full" else FASTER
    text = (
        f"There are {workload.files:,} files, but a process keeps at most {limit:,} open: in {workload.mode} order, "
        f"{1 - limit / workload.files:.0%} of the samples must open a file with HDF5 first"
    )
    yield Finding("open files", severity, text, advice, (), workload.files)


def _tiny_files(workload: Workload) -> Iterator[Finding]:
    total = sum(int(np.maximum(field.rows, 0).sum()) * field.row_bytes for field in workload.fields)
    size = total // workload.files
    if workload.files >= _MANY_FILES and size < _SMALL_FILE_BYTES:
        text = (
            f"There are {workload.files:,} files of {bytes_text(size)} each: opening a file takes longer than reading "
            "it, and each batch reads from almost as many files as it has samples"
        )
        advice = (
            "Write the series of several files into one"
            if workload.has_series
            else "Merge them into new files. 'source_file' says which file a row comes from, for split.keep_together; "
            "'attributes/NAME' holds numbers that were attributes of files. Text attributes that differ between files "
            "are lost"
        )
        is_slow = workload.files > workload.max_open_files and _needs_hdf5(workload)
        severity = SLOW if is_slow else FASTER
        yield Finding("tiny files", severity, text, advice, (), workload.files)


def _needs_hdf5(workload: Workload) -> bool:
    return any(field.reason for field in workload.fields)
