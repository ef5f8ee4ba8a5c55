"""Chunks that do not fit the rows, each other, the window or the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from h5lightning.core.formatting import bytes_text, counted, share_text
from h5lightning.tools.doctor.amplification import amplification_of
from h5lightning.tools.doctor.finding import FASTER, FINE, SLOW, Finding, severity_of
from h5lightning.tools.overview.stored_fields import Case, StoredField

__all__ = ["chunk_findings"]

_MIB = 1024 * 1024
_LARGE_CHUNK_BYTES = 16 * _MIB
_SMALL_CHUNK_BYTES = 4096
_MANY_CHUNKS = 1000
_WELL_MIXED_CHUNKS = 64
_BADLY_MIXED_CHUNKS = 16
_MANY_ACROSS = 8
_FEW_ROWS = 8
_POOR_SHARE = 0.9

_WRITE_AGAIN = "Write it again in chunks of whole rows, about 256 KiB"


def chunk_findings(case: Case) -> Iterator[Finding]:
    """What is found about the chunks of each field."""
    for field in case.fields:
        if field.schema.refusal or not field.schema.row_bytes:
            continue
        for find in _FINDERS:
            yield from find(field, case)


def _amplified(field: StoredField, case: Case) -> Iterator[Finding]:
    """A chunk is decoded for more than the rows that are used."""
    if field.slab_rows < 2 or field.longest < 2 or case.loading.is_whole:
        return
    found = amplification_of(field, case)
    # What lies past the end of the data is another finding.
    extra = found.of(case.mode) / field.padding - 1
    severity = severity_of(extra * field.row_bytes * len(field.paths) / case.sample_bytes)
    fits = field.slabs * field.slab_bytes <= case.cache_bytes(field)
    kind, beside = _kind(field, case)
    yield Finding(
        kind,
        severity,
        f"'/{field.path}' has compressed chunks of {field.slab_rows:,} rows ({bytes_text(field.slab_bytes)}){beside}. "
        f"For each row that is used, shuffle='full' decodes {found.full:,.1f} rows, 'block' {found.block:,.1f}, "
        f"'none' {found.none:,.1f}{'; all of it fits into cache_bytes' if fits else ''}",
        _advice_on_order(case, severity, kind),
        (field.path,),
        field.files.size,
        found,
    )


def _kind(field: StoredField, case: Case) -> tuple[str, str]:
    main = case.main
    if field.path == main.path:
        is_kept = case.mode != "block" or case.live_bytes <= case.cache_bytes(field)
        text = f", and the shuffle window keeps {bytes_text(case.live_bytes)} of them in use"
        return ("amplified reads", "") if is_kept else ("small cache", text)
    if main.slab_rows == 1 and case.mode != "none":
        return "contiguous beside chunked", f", beside '/{main.path}', whose rows can be read alone"
    if main.slab_rows != field.slab_rows and case.mode == "block":
        return "different chunk heights", f", beside chunks of {main.slab_rows:,} rows of '/{main.path}'"
    return "amplified reads", ""


def _advice_on_order(case: Case, severity: str, kind: str) -> str:
    if severity == FINE:
        if kind != "amplified reads":
            return "Nothing: what is decoded fits into cache_bytes, or is little beside the rest"
        return (
            f"Nothing: the order is {case.mode!r}. Keep num_workers=0: each of W worker processes may decode a "
            "chunk for itself, W times in all"
        )
    if kind == "small cache":
        main, loading = case.main, case.loading
        needed = loading.cache_bytes * case.live_bytes // case.cache_bytes(main) + main.slab_bytes
        return f"Set access={{'cache_bytes': {needed}}} or more: memory of each loading process; or a smaller window"
    if kind == "contiguous beside chunked":
        return "Store both in the same way, or raise access.cache_bytes"
    if kind == "different chunk heights":
        return "Store the smaller field without chunks, or raise access.cache_bytes"
    if case.mode == "full":
        return "Use shuffle='auto', which here means 'block'; for 'full', store the rows without compression"
    return _WRITE_AGAIN


def _workers(field: StoredField, case: Case) -> Iterator[Finding]:
    workers = min(case.loading.num_workers, field.slab_rows)
    if field.path == case.main.path and case.mode == "block" and workers > 1:
        found = amplification_of(field, case)
        yield Finding(
            "worker processes",
            severity_of(workers - 1),
            f"'/{field.path}': {case.loading.num_workers} worker processes may decode each chunk {workers} times, "
            "since torch deals batches in turn and each has rows of many chunks",
            "Use num_workers=0, where threads read and decode, unless Python transforms take most of the time",
            (field.path,),
            field.files.size,
            replace(found, block=workers * found.block),
        )


def _split_rows(field: StoredField, case: Case) -> Iterator[Finding]:
    if field.chunks_across > 1:
        is_slow = field.chunks_across >= _MANY_ACROSS or field.slab_bytes > case.loading.cache_bytes
        shape = " × ".join(map(str, field.schema.chunks or ()))
        decoded = (
            f", and to decode one is to decode {bytes_text(field.slab_bytes)}" if field.slab_rows > 1 else ""
        )
        yield Finding(
            "split rows",
            SLOW if is_slow else FASTER,
            f"'/{field.path}' has chunks of {shape} that split rows: each row lies in {field.chunks_across:,} "
            f"chunks{decoded}",
            _WRITE_AGAIN,
            (field.path,),
            field.files.size,
        )


def _padded(field: StoredField, case: Case) -> Iterator[Finding]:
    if field.padding >= 2 and field.schema.is_decoded_by_chunk:
        share = field.row_bytes / case.sample_bytes
        severity = severity_of((field.padding - 1) * share)
        if severity != FINE:
            yield Finding(
                "padded chunks",
                severity,
                f"'/{field.path}' has chunks that reach far past the end of the data: {field.padding:,.1f} bytes are "
                "decoded for each one that is there, in any order",
                f"{_WRITE_AGAIN}, and no longer than the data",
                (field.path,),
                field.files.size,
                amplification_of(field, case),
            )


def _large(field: StoredField, case: Case) -> Iterator[Finding]:
    if not field.schema.is_decoded_by_chunk or field.slab_rows == 1:
        return
    cache_bytes = case.loading.cache_bytes
    where = f"'/{field.path}' has chunks of {counted(field.slab_rows, 'row')}, {bytes_text(field.slab_bytes)}"
    if field.slab_bytes > cache_bytes:
        yield Finding(
            "large chunks",
            SLOW,
            f"{where}, more than cache_bytes ({bytes_text(cache_bytes)}): a batch cannot keep them for the next one, "
            "so that they are decoded again and again, for validation too",
            f"{_WRITE_AGAIN}, or set access.cache_bytes={4 * field.slab_bytes} or more",
            (field.path,),
            field.files.size,
            amplification_of(field, case),
        )
    elif field.slab_bytes > _LARGE_CHUNK_BYTES:
        text = (
            f"{where}: each thread holds one, the first batch waits for several, and threads cannot share one"
        )
        yield Finding("large chunks", FASTER, text, _WRITE_AGAIN, (field.path,), field.files.size)


def _small_window(field: StoredField, case: Case) -> Iterator[Finding]:
    if case.mode != "block" or field.path != case.main.path or field.total_rows <= case.window_rows:
        return
    chunks = case.window_rows / field.slab_rows
    if field.slab_rows > 1 and chunks < _WELL_MIXED_CHUNKS:
        window_bytes = _WELL_MIXED_CHUNKS * field.slab_rows * case.sample_bytes
        yield Finding(
            "small window",
            SLOW if chunks < _BADLY_MIXED_CHUNKS else FASTER,
            f"'/{field.path}': the shuffle window of {bytes_text(case.loading.window_bytes)} mixes {chunks:,.1f} "
            f"chunks of {field.slab_rows:,} rows; {_WELL_MIXED_CHUNKS} mix well, fewer leave neighbours together",
            f"{_WRITE_AGAIN}, or set shuffle.window_bytes={window_bytes}",
            (field.path,),
            field.files.size,
        )


def _one_chunk(field: StoredField, case: Case) -> Iterator[Finding]:
    is_one = field.slab_rows >= field.longest >= _FEW_ROWS and field.chunks_across == 1
    if is_one and _MIB < field.slab_bytes <= _LARGE_CHUNK_BYTES and not case.loading.is_whole:
        yield Finding(
            "one chunk per file",
            FASTER,
            f"'/{field.path}' is one compressed chunk of {bytes_text(field.slab_bytes)} in each file: nothing of a "
            "file is there before all of it was decoded, by one thread",
            _WRITE_AGAIN,
            (field.path,),
            field.files.size,
        )


def _small_chunks(field: StoredField, case: Case) -> Iterator[Finding]:
    chunks = field.slabs * field.chunks_across
    if (
        field.schema.is_decoded_by_chunk
        and field.chunk_bytes < _SMALL_CHUNK_BYTES
        and chunks >= _MANY_CHUNKS
        and field.row_bytes * _MANY_ACROSS >= case.sample_bytes
    ):
        yield Finding(
            "small chunks",
            FASTER,
            f"'/{field.path}' lies in {chunks:,} compressed chunks of {bytes_text(field.chunk_bytes)}: to find and to "
            "decode a chunk takes longer than its bytes do",
            _WRITE_AGAIN,
            (field.path,),
            field.files.size,
        )


def _poor_compression(field: StoredField, _: Case) -> Iterator[Finding]:
    share = field.stored_bytes / field.total_bytes
    if field.is_compressed and field.padding < 2 and share > _POOR_SHARE:
        yield Finding(
            "poor compression",
            FASTER,
            f"'/{field.path}' is compressed to {share_text(min(1.0, share))} of its size: decoding it takes time and "
            "saves no space, and rows cannot be read alone",
            "Store it without compression: then any order is fast",
            (field.path,),
            field.files.size,
        )


_FINDERS: tuple[Callable[[StoredField, Case], Iterator[Finding]], ...] = (
    _amplified,
    _workers,
    _split_rows,
    _padded,
    _large,
    _small_window,
    _one_chunk,
    _small_chunks,
    _poor_compression,
)
