"""Time reads of a few rows and chunks of these files, with the readers that training uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from h5lightning.core.formatting import time_text
from h5lightning.errors import H5LightningError
from h5lightning.options import Access
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import Reader
from h5lightning.tools.doctor.finding import Finding
from h5lightning.tools.overview.workload import FieldStorage, Workload

__all__ = ["time_reads"]

_MAX_S = 0.25  # for one field
_MAX_TOTAL_S = 1.5
_REPETITIONS = 6
_MAX_CHUNKS = 4
_MAX_CHUNK_BYTES = 256 * 1024 * 1024
_MAX_OPENED_FILES = 6
_NOT_TIMED = frozenset(["float64"])  # its cost is proportional to its bytes


@dataclass(frozen=True, slots=True)
class _RowRange:
    """Neighbouring rows of a dataset of one file."""

    file: str
    path: str
    first: int
    rows: int


def time_reads(findings: Sequence[Finding], catalog: Catalog, workload: Workload) -> list[Finding]:
    """The findings with what they cost, if it can be measured; each dataset is measured once, for its worst one.

    This takes a second or two in all.
    """
    end = time.perf_counter() + _MAX_TOTAL_S
    measured_paths: set[tuple[str, ...]] = set()
    measured = []
    for finding in findings:
        is_skipped = finding.paths in measured_paths or finding.kind in _NOT_TIMED
        text = "" if is_skipped or time.perf_counter() > end else _cost_text(finding, catalog, workload)
        measured_paths |= {finding.paths} if text else set()
        measured.append(replace(finding, measured=text))
    return measured


def _cost_text(finding: Finding, catalog: Catalog, workload: Workload) -> str:
    if not finding.paths:
        return _opening(catalog, workload.main)
    field = next(field for field in workload.fields if field.path in finding.paths)
    # A row of boxes is no sample: it is a slab of all entries along the other axes.
    return "" if field.schema.refusal or field.boxes is not None else _reading(catalog, field)


def _reading(catalog: Catalog, field: FieldStorage) -> str:
    """A row alone, and the same row together with the other rows of its chunk."""
    chunks = _first_chunks(catalog, field)
    # Readers keep the last chunk: each one is decoded only if there are several to take in turn.
    if len(chunks) < 2 or field.chunk_row_bytes > _MAX_CHUNK_BYTES:
        return ""

    def times(reader: Reader) -> str:
        alone = _seconds_per_row(reader, field, [replace(chunk, rows=1) for chunk in chunks])
        together = _seconds_per_row(reader, field, chunks)
        rows = chunks[0].rows
        if rows == 1:
            return f"a row takes {time_text(alone)}"
        return f"a row alone takes {time_text(alone)}, one of {rows:,} read together {time_text(together)}"

    return _with_reader(Access(cache_bytes=0), times)


def _first_chunks(catalog: Catalog, field: FieldStorage) -> list[_RowRange]:
    chunks: list[_RowRange] = []
    if field.datasets_of_a_row > 1:
        return chunks
    for file, path, rows in field.places():
        height = max(1, min(rows, field.rows_per_chunk))
        firsts = range(0, max(0, rows - height + 1), height)
        chunks += [_RowRange(catalog.path(file), path, first, height) for first in firsts[:_MAX_CHUNKS]]
        if len(chunks) >= _MAX_CHUNKS:
            break
    return chunks


def _opening(catalog: Catalog, field: FieldStorage) -> str:
    """The first row of a file that must be opened, and a row of an open file."""
    if field.boxes is not None:
        return ""
    places = {file: path for file, path, rows in field.places() if rows and field.datasets_of_a_row == 1}
    firsts = [_RowRange(catalog.path(file), path, 0, 1) for file, path in places.items()][:_MAX_OPENED_FILES]
    if len(firsts) < 2:
        return ""

    def times(reader: Reader) -> str:
        opened = [_seconds(reader, field, one) for one in firsts]
        again = [_seconds(reader, field, firsts[-1]) for _ in firsts]
        first, later = float(np.median(opened[1:])), float(np.median(again))
        return f"the first row of a file takes {time_text(first)}, another row {time_text(later)}"

    return _with_reader(Access(max_open_files=1, cache_bytes=0), times)


def _with_reader(access: Access, times: Callable[[Reader], str]) -> str:
    with HandlePool(access) as pool:
        reader = make_reader("auto", pool)
        try:
            return times(reader)
        except H5LightningError as error:
            return f"it cannot be read: {error}"
        finally:
            reader.close()


def _seconds_per_row(reader: Reader, field: FieldStorage, ranges: Sequence[_RowRange]) -> float:
    """Median of the seconds that a row takes."""
    for first in {(one.file, one.path): one for one in ranges}.values():
        _seconds(reader, field, first)  # opens the file
    end = time.perf_counter() + _MAX_S / 2
    seconds: list[float] = []
    for one in islice(cycle(ranges), _REPETITIONS):
        seconds.append(_seconds(reader, field, one) / one.rows)
        if time.perf_counter() > end:
            break
    return float(np.median(seconds))


def _seconds(reader: Reader, field: FieldStorage, row_range: _RowRange) -> float:
    source = field.source_of(row_range.path)
    out = np.zeros((row_range.rows, *source.row_shape), np.dtype(source.dtype).newbyteorder("="))
    rows = np.arange(row_range.first, row_range.first + row_range.rows)
    start = time.perf_counter()
    reader.read_rows(row_range.file, source, rows, out)
    return time.perf_counter() - start
