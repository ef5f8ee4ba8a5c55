"""Findings about chunks that do not fit the rows, each other, the shuffle window or the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from h5lightning.core.formatting import bytes_text, counted, share_text
from h5lightning.storage.readers.decoded.decode_pool import workers_share_chunks
from h5lightning.tools.doctor.amplification import amplification_of
from h5lightning.tools.doctor.box_findings import box_findings, has_several_axes, take_findings
from h5lightning.tools.doctor.finding import FASTER, FINE, SLOW, Finding, severity_of
from h5lightning.tools.overview.row_storage import LARGE_CHUNK_BYTES
from h5lightning.tools.overview.workload import FieldStorage, Workload

__all__ = ["WELL_MIXED_CHUNKS", "chunk_findings"]

WELL_MIXED_CHUNKS = 64  # in a shuffle window

_ONE_MIB = 1024 * 1024
_SMALL_CHUNK_BYTES = 4096
_MANY_CHUNKS = 1000
_BADLY_MIXED_CHUNKS = 16
_MANY_CHUNKS_PER_ROW = 8
_FEW_ROWS = 8
_POOR_SHARE = 0.9

_REWRITE = "Rewrite it with chunks of whole rows, about 256 KiB each"


def chunk_findings(workload: Workload) -> Iterator[Finding]:
    """The findings about the chunks of each field."""
    for field in workload.fields:
        if field.schema.refusal or not field.schema.row_bytes:
            continue
        for find in _BOX_FINDERS if has_several_axes(field) else _FINDERS:
            yield from find(field, workload)


def _amplified(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """More rows are decoded than are used."""
    if field.rows_per_chunk < 2 or field.max_rows < 2 or workload.is_whole:
        return
    found = amplification_of(field, workload)
    # Decoding past the end of the data is another finding.
    extra = found.of(workload.mode) / field.padding - 1
    severity = severity_of(extra * field.row_bytes * field.datasets_of_a_row / workload.sample_bytes)
    kind, comparison = _kind(field, workload)
    fits = field.chunk_row_count * field.chunk_row_bytes <= workload.field_cache_bytes(field)
    text = (
        f"has compressed chunks of {field.rows_per_chunk:,} rows ({bytes_text(field.chunk_row_bytes)}){comparison}. "
        f"For each row that is used, {found.full:,.1f} rows are decoded with shuffle='full', {found.block:,.1f} with "
        f"'block', {found.none:,.1f} with 'none'{'; all data of this field fit into cache_bytes' if fits else ''}"
    )
    yield Finding.of(field, kind, severity, text, _advice(workload, severity, kind), found)


def _kind(field: FieldStorage, workload: Workload) -> tuple[str, str]:
    """The kind of an amplification, and how the field compares with others."""
    main = workload.main
    if field.path == main.path:
        is_kept = workload.mode != "block" or workload.live_bytes <= workload.field_cache_bytes(field)
        text = f", and the shuffle window uses {bytes_text(workload.live_bytes)} of them at a time"
        return ("amplified reads", "") if is_kept else ("small cache", text)
    if main.rows_per_chunk == 1 and workload.mode != "none":
        return "contiguous beside chunked", f", while each row of '/{main.path}' can be read alone"
    if main.rows_per_chunk != field.rows_per_chunk and workload.mode == "block":
        text = f", while the chunks of '/{main.path}' have {counted(main.rows_per_chunk, 'row')}"
        return "different chunk heights", text
    return "amplified reads", ""


def _advice(workload: Workload, severity: str, kind: str) -> str:
    if severity == FINE:
        if kind != "amplified reads":
            return "Nothing to do: what is decoded fits into cache_bytes, or is little compared with the other fields"
        advice = f"Nothing to do in {workload.mode!r} order"
        if workers_share_chunks():
            return advice
        return f"{advice}. Keep num_workers=0: with W worker processes, each chunk may be decoded W times"
    if kind == "small cache":
        main = workload.main
        needed = (
            workload.cache_bytes * workload.live_bytes // workload.field_cache_bytes(main)
            + main.chunk_row_bytes
        )
        return (
            f"Set access={{'cache_bytes': {needed}}} or more, in the memory of each loading process; or use a "
            "smaller window"
        )
    if kind == "contiguous beside chunked":
        return "Store both fields in the same way, or raise access.cache_bytes"
    if kind == "different chunk heights":
        return "Store the smaller field without chunks, or raise access.cache_bytes"
    if workload.mode == "full":
        return "Use shuffle='auto', which means 'block' for these files; for 'full', store the rows without compression"
    return _REWRITE


def _workers(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """Several processes decode the same chunk."""
    times = min(workload.num_workers, field.rows_per_chunk)
    is_main = field.path == workload.main.path and workload.mode == "block"
    if is_main and times > 1 and not workers_share_chunks():
        found = amplification_of(field, workload)
        text = (
            "has chunks whose rows go to several batches, and torch gives batches to processes in turn: "
            f"{workload.num_workers} worker processes may decode each chunk {times} times"
        )
        advice = "Use num_workers=0, with which threads read and decode, unless Python transforms take most of the time"
        found = replace(found, block=times * found.block)
        yield Finding.of(field, "worker processes", severity_of(times - 1), text, advice, found)


def _split_rows(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """A row lies in several chunks."""
    if field.chunks_per_row > 1:
        is_costly = (
            field.chunks_per_row >= _MANY_CHUNKS_PER_ROW or field.chunk_row_bytes > workload.cache_bytes
        )
        is_slow = (
            is_costly and field.schema.is_decoded_by_chunk
        )  # others are gathered without a call for each chunk
        shape = " × ".join(map(str, field.schema.chunks or ()))
        text = f"has chunks of {shape} that split rows: each row lies in {field.chunks_per_row:,} chunks"
        if field.rows_per_chunk > 1:
            text += f", and decoding one row means decoding {bytes_text(field.chunk_row_bytes)}"
        yield Finding.of(field, "split rows", SLOW if is_slow else FASTER, text, _REWRITE)


def _padded(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """Chunks reach past the end of the data."""
    if field.padding < 2 or not field.schema.is_decoded_by_chunk:
        return
    severity = severity_of((field.padding - 1) * field.row_bytes / workload.sample_bytes)
    if severity != FINE:
        text = (
            f"has chunks that reach far past the end of the data: {field.padding:,.1f} bytes are decoded for each byte "
            "of data, in any order"
        )
        advice = f"{_REWRITE}, and no longer than the data"
        yield Finding.of(field, "padded chunks", severity, text, advice, amplification_of(field, workload))


def _large(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """A chunk row is larger than the cache, or than threads can share."""
    if not field.schema.is_decoded_by_chunk or field.rows_per_chunk == 1:
        return
    chunks = f"has chunks of {counted(field.rows_per_chunk, 'row')}, {bytes_text(field.chunk_row_bytes)}"
    if field.chunk_row_bytes > workload.cache_bytes:
        text = (
            f"{chunks}, more than cache_bytes ({bytes_text(workload.cache_bytes)}): they are not kept for the next "
            "batch, and are decoded again and again, also in validation"
        )
        advice = f"{_REWRITE}, or set access.cache_bytes={4 * field.chunk_row_bytes} or more"
        yield Finding.of(field, "large chunks", SLOW, text, advice, amplification_of(field, workload))
    elif field.chunk_row_bytes > LARGE_CHUNK_BYTES:
        text = (
            f"{chunks}: each thread holds one in memory, the first batch waits for several, and threads cannot share "
            "the work on one"
        )
        yield Finding.of(field, "large chunks", FASTER, text, _REWRITE)


def _small_window(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """The shuffle window holds too few chunks to mix well."""
    if workload.mode != "block" or field.path != workload.main.path:
        return
    rows, window_bytes = field.rows_per_chunk, workload.window_bytes
    chunks = workload.window_rows / rows
    if rows > 1 and chunks < WELL_MIXED_CHUNKS and field.total_rows > workload.window_rows:
        text = (
            f"is shuffled poorly: the window of {bytes_text(window_bytes)} holds {chunks:,.1f} chunks of {rows:,} "
            f"rows. {WELL_MIXED_CHUNKS} chunks mix well; with fewer, neighbouring rows stay together"
        )
        needed = WELL_MIXED_CHUNKS * rows * workload.sample_bytes
        severity = SLOW if chunks < _BADLY_MIXED_CHUNKS else FASTER
        advice = f"{_REWRITE}, or set shuffle.window_bytes={needed}"
        yield Finding.of(field, "small window", severity, text, advice)


def _one_chunk(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """The whole dataset is one chunk."""
    is_one = field.rows_per_chunk >= field.max_rows >= _FEW_ROWS and field.chunks_per_row == 1
    if is_one and _ONE_MIB < field.chunk_row_bytes <= LARGE_CHUNK_BYTES and not workload.is_whole:
        text = (
            f"is one compressed chunk of {bytes_text(field.chunk_row_bytes)} in each "
            f"{'series' if field.is_family else 'file'}: one thread must decode all "
            "of it before the first row is available"
        )
        yield Finding.of(field, "one chunk per file", FASTER, text, _REWRITE)


def _small_chunks(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """Finding a chunk takes longer than decoding it."""
    chunks = field.chunk_row_count * field.chunks_per_row
    is_small = field.schema.is_decoded_by_chunk and field.chunk_bytes < _SMALL_CHUNK_BYTES
    has_share = field.row_bytes * _MANY_CHUNKS_PER_ROW >= workload.sample_bytes
    if is_small and has_share and chunks >= _MANY_CHUNKS:
        text = (
            f"has {chunks:,} compressed chunks of {bytes_text(field.chunk_bytes)}: the work for each chunk takes "
            "longer than decoding its bytes"
        )
        yield Finding.of(field, "small chunks", FASTER, text, _REWRITE)


def _poor_compression(field: FieldStorage, _: Workload) -> Iterator[Finding]:
    """Compression costs time and saves no space."""
    share = field.stored_bytes / field.total_bytes
    if field.is_compressed and field.padding < 2 and share > _POOR_SHARE:
        text = (
            f"is compressed to {share_text(min(1.0, share))} of its size: decoding takes time, saves no space, and "
            "prevents reading single rows"
        )
        advice = "Store it without compression: then any order is fast"
        yield Finding.of(field, "poor compression", FASTER, text, advice)


_FINDERS: tuple[Callable[[FieldStorage, Workload], Iterator[Finding]], ...] = (
    _amplified,
    _workers,
    _split_rows,
    _padded,
    _large,
    _small_window,
    _one_chunk,
    _small_chunks,
    _poor_compression,
    take_findings,
)
_BOX_FINDERS = (box_findings, _poor_compression)
