"""Findings about chunks that do not fit the boxes that are cut out of them, or the rows that are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator

from h5lightning.core.formatting import bytes_text, counted
from h5lightning.tools.doctor.amplification import Amplification, amplification_of
from h5lightning.tools.doctor.finding import FASTER, FINE, SLOW, Finding, severity_of
from h5lightning.tools.overview.box_windows import BoxWindows
from h5lightning.tools.overview.workload import FieldStorage, Workload

__all__ = ["box_findings", "good_chunks", "has_several_axes", "take_findings"]

_LARGE_CHUNK_BYTES = 16 * 1024 * 1024
_MANY_CHUNKS = 64  # of one sample: the work for each takes longer than decoding it
_SMALL_CHUNK_BYTES = 16 * 1024
_GOOD_CHUNK_BYTES = 32 * 1024


def box_findings(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """What a box decodes, compared with chunks that have its shape."""
    boxes, chunks = field.boxes, field.schema.chunks
    if not has_several_axes(field) or boxes is None or not chunks or not field.schema.is_decoded_by_chunk:
        return
    count = boxes.chunks_of_box(chunks)
    used_bytes = max(1, math.prod(boxes.sizes) * field.itemsize)
    decoded = count * math.prod(chunks) * field.itemsize / used_bytes
    good = good_chunks(field, boxes)
    best = boxes.chunks_of_box(good) * math.prod(good) * field.itemsize / used_bytes
    severity = severity_of(decoded / best - 1)
    if count >= _MANY_CHUNKS and field.chunk_bytes < _SMALL_CHUNK_BYTES:
        severity = SLOW
    fits = field.total_bytes * field.padding <= workload.field_cache_bytes(field)
    text = (
        f"has compressed chunks of {_times(chunks)}, and samples are boxes of {_times(boxes.sizes)}: one lies in "
        f"{count:,.1f} chunks on average, and read alone decodes {decoded:,.1f} bytes for each byte of "
        f"it{'; all data of this field fit into cache_bytes' if fits else ''}"
    )
    advice = f"Write it again with chunks near the boxes, such as chunks={good_chunks(field, boxes)}"
    if fits or severity == FINE:
        severity, advice = FINE, "Nothing to do: neighbouring boxes share decoded chunks"
    yield Finding.of(field, "boxes", severity, text, advice, Amplification(decoded, decoded, decoded))


def has_several_axes(field: FieldStorage) -> bool:
    """Whether windows lie along several axes; along one, a box is rows, and findings about rows hold."""
    return field.boxes is not None and len(field.boxes.axes) > 1


def good_chunks(field: FieldStorage, boxes: BoxWindows) -> tuple[int, ...]:
    """Chunks of the shape of the boxes: of small ones along one axis, several in a row; of large ones, a part."""
    good, axis = [max(1, size) for size in boxes.sizes], boxes.axes[0]
    item = field.itemsize
    if (box_bytes := math.prod(good) * item) < _GOOD_CHUNK_BYTES and not has_several_axes(field):
        good[axis] = max(1, min(boxes.shape[axis], good[axis] * (_GOOD_CHUNK_BYTES // box_bytes)))
    while math.prod(good) * item > _LARGE_CHUNK_BYTES and max(good) > 1:
        longest = good.index(max(good))
        good[longest] = -(-good[longest] // 2)
    return tuple(good)


def take_findings(field: FieldStorage, workload: Workload) -> Iterator[Finding]:
    """Rows that are drawn of a whole series lie in more chunks than they fill."""
    if workload.take is None or not workload.is_whole or not field.schema.is_decoded_by_chunk:
        return
    found = amplification_of(field, workload)
    severity = severity_of(found.full / field.padding - 1)
    if severity == FINE or field.total_bytes * field.padding <= workload.field_cache_bytes(field):
        return
    text = (
        f"has compressed chunks of {counted(field.rows_per_chunk, 'row')} ({bytes_text(field.chunk_row_bytes)}), and "
        f"{counted(workload.take, 'row')} of each series are drawn: {found.full:,.1f} bytes are decoded for each byte "
        "that is used"
    )
    advice = "Store it without compression, or in chunks of few rows; or take more rows of each series"
    yield Finding.of(field, "drawn rows", FASTER if severity == FASTER else SLOW, text, advice, found)


def _times(numbers: tuple[int, ...]) -> str:
    return " × ".join(map(str, numbers))
