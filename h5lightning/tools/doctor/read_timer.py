"""What it costs on these very files: a few rows and chunks are read and timed, through the project's readers."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
from h5lightning.tools.overview.stored_fields import Case, StoredField

__all__ = ["Stopwatch"]

_LONGEST_S = 0.25  # for one field
_LONGEST_IN_ALL_S = 1.5
_REPETITIONS = 6
_MOST_PLACES = 4
_LARGEST_BYTES = 256 * 1024 * 1024
_OPENED_FILES = 6
_NOT_TIMED = frozenset(["float64"])  # to read it takes as long as its bytes do


@dataclass(frozen=True, slots=True)
class _Place:
    """Rows of one chunk, or as many neighbours."""

    file: str
    first: int
    rows: int


class Stopwatch:
    """Times reads until it has taken a second or two in all.

    Args:
        catalog: where the files lie.
        case: the fields.
    """

    def __init__(self, catalog: Catalog, case: Case) -> None:
        self._catalog = catalog
        self._case = case
        self._end = time.perf_counter() + _LONGEST_IN_ALL_S

    def measured(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings, with what they cost where that can be measured; each dataset once, where it is worst."""
        told: set[tuple[str, ...]] = set()
        found = []
        for finding in findings:
            is_told = finding.paths in told or finding.kind in _NOT_TIMED
            text = "" if is_told or time.perf_counter() > self._end else self._measure(finding)
            told |= {finding.paths} if text else set()
            found.append(replace(finding, measured=text))
        return found

    def _measure(self, finding: Finding) -> str:
        if not finding.paths:
            return self._opening()
        field = next(field for field in self._case.fields if field.path in finding.paths)
        return "" if field.schema.refusal else self._reading(field)

    # ── rows and chunks ──────────────────────────────────────────────────────────────────────────────

    def _reading(self, field: StoredField) -> str:
        """A row alone, and the same row together with those of its chunk."""
        places = self._places(field)
        # The readers keep the last chunk: only from several chunks in turn is each one decoded.
        if len(places) < 2 or field.slab_bytes > _LARGEST_BYTES:
            return ""
        # Nothing else may be kept.
        with HandlePool(Access(cache_bytes=0)) as pool:
            reader = make_reader("auto", pool)
            try:
                alone, together = (
                    _per_row(reader, field, places, is_alone=is_alone) for is_alone in (True, False)
                )
            except H5LightningError as error:
                return f"it cannot be read: {error}"
            finally:
                reader.close()
        rows = places[0].rows
        if rows == 1:
            return f"a row takes {time_text(alone)}"
        return f"a row alone takes {time_text(alone)}, one of {rows:,} read together {time_text(together)}"

    def _places(self, field: StoredField) -> list[_Place]:
        found: list[_Place] = []
        if len(field.paths) > 1:
            return found
        for file, rows in zip(field.files.tolist(), field.rows.tolist(), strict=False):
            height = max(1, min(rows, field.slab_rows))
            firsts = range(0, max(0, rows - height + 1), height)
            found += [_Place(self._catalog.path(file), first, height) for first in firsts[:_MOST_PLACES]]
            if len(found) >= _MOST_PLACES:
                break
        return found

    # ── files ────────────────────────────────────────────────────────────────────────────────────────

    def _opening(self) -> str:
        """The first row of a file that must be opened, and of one that is open."""
        field = self._case.main
        filled = field.files[field.rows > 0] if len(field.paths) == 1 else field.files[:0]
        files = [self._catalog.path(file) for file in filled[:_OPENED_FILES].tolist()]
        if len(files) < 2:
            return ""
        with HandlePool(Access(max_open_files=1, cache_bytes=0)) as pool:
            reader = make_reader("auto", pool)
            try:
                opened = [_seconds(reader, field, _Place(file, 0, 1)) for file in files]
                again = [_seconds(reader, field, _Place(files[-1], 0, 1)) for _ in files]
            except H5LightningError as error:
                return f"it cannot be read: {error}"
            finally:
                reader.close()
        first, kept = float(np.median(opened[1:])), float(np.median(again))
        return f"the first row of a file takes {time_text(first)}, another one {time_text(kept)}"


def _per_row(reader: Reader, field: StoredField, places: list[_Place], *, is_alone: bool) -> float:
    """Median of the seconds that a row takes."""
    used = [replace(place, rows=1) for place in places] if is_alone else places
    for file in {place.file: place for place in used}.values():
        _seconds(reader, field, file)  # opens it
    end = time.perf_counter() + _LONGEST_S / 2
    found: list[float] = []
    for place in islice(cycle(used), _REPETITIONS):
        found.append(_seconds(reader, field, place) / place.rows)
        if time.perf_counter() > end:
            break
    return float(np.median(found))


def _seconds(reader: Reader, field: StoredField, place: _Place) -> float:
    source = field.source
    out = np.zeros((place.rows, *source.row_shape), np.dtype(source.dtype).newbyteorder("="))
    rows = np.arange(place.first, place.first + place.rows)
    start = time.perf_counter()
    reader.read_rows(place.file, source, rows, out)
    return time.perf_counter() - start
