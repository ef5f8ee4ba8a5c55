"""Sets of rows in a saved split: as runs where these are few, else as bits; see `manifest_format`."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.sample_numbers import to_numbers
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["members_from_json", "members_to_json"]

_MOST_RUNS = 100  # of a file


def members_to_json(part: Segments, index: SampleIndex) -> dict[str, Any]:
    """File → the rows that a split has there, as runs or as bits."""
    parts = [(runs.series, runs.start, runs.stop) for runs in part.runs()]
    parts.append((np.zeros(0, np.int64),) * 3)
    series, start, stop = map(np.concatenate, zip(*parts, strict=True))
    files = part.files(index)
    edges = np.searchsorted(index.series_file[series], [*files.tolist(), len(index.names)]).tolist()
    found: dict[str, Any] = {}
    for number, file in enumerate(files.tolist()):
        own = slice(edges[number], edges[number + 1])
        position = series[own] - index.first_series[file]
        if len(position) <= _MOST_RUNS:
            found[index.names[file]] = np.stack([position, start[own], stop[own]], axis=1).tolist()
        else:
            before = _first_rows(index, file)[position]
            bools = _marked(int(index.file_rows[file]), before + start[own], before + stop[own])
            packed = np.packbits(bools, bitorder="little").tobytes()
            found[index.names[file]] = base64.b64encode(zlib.compress(packed)).decode()
    return found


def members_from_json(
    plain: Mapping[str, Any], index: SampleIndex, numbers: Mapping[str, int], *, keep_empty: bool
) -> Segments:
    """The rows that `members_to_json` wrote.

    Args:
        plain: file → rows.
        index: the files and series.
        numbers: file → its number.
        keep_empty: keep series without rows.

    Raises:
        ValueError: they contradict the index.
    """
    by_file = sorted((numbers[name], rows) for name, rows in plain.items())
    files = np.asarray([file for file, _ in by_file], np.int64)
    whole = Segments.of_files(index, files)
    pieces: Iterator[BoolArray] = (_bools(index, file, rows) for file, rows in by_file)
    return Segments.of_rows(whole.series, whole.stop, pieces, keep_empty=keep_empty)


def _bools(index: SampleIndex, file: int, rows: Any) -> BoolArray:
    """Whether each row of a file is in the set."""
    size = int(index.file_rows[file])
    if isinstance(rows, str):
        # No more is unpacked than the file has rows.
        unpacked = zlib.decompressobj().decompress(base64.b64decode(rows), size // 8 + 2)
        if len(unpacked) != -(-size // 8):
            raise ValueError(f"the bits of {index.names[file]} are not those of {size} rows")
        bools = np.unpackbits(np.frombuffer(unpacked, np.uint8), bitorder="little").view(np.bool_)
        if bools[size:].any():
            raise ValueError(f"a bit of {index.names[file]} is beyond its {size} rows")
        return bools[:size]
    flat = [number for run in rows for number in run]
    series, start, stop = to_numbers(flat, "rows").reshape(-1, 3).T
    first, end = index.first_series[file : file + 2].tolist()
    if np.any(series < 0) or np.any(series >= end - first):
        raise ValueError("a run names a series that its file does not have")
    if np.any(start < 0) or np.any(stop < start) or np.any(stop > index.series_rows[first + series]):
        raise ValueError("a run lies outside of its series")
    before = _first_rows(index, file)[series]
    return _marked(size, before + start, before + stop)


def _first_rows(index: SampleIndex, file: int) -> Int64Array:
    """The first row of each series of a file, counted in the file."""
    first, end = index.first_series[file : file + 2].tolist()
    rows = index.series_rows[first:end]
    return np.cumsum(rows) - rows


def _marked(size: int, starts: Int64Array, stops: Int64Array) -> BoolArray:
    """True in some ranges of so many rows."""
    edges = np.zeros(size + 1, np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, stops, -1)
    bools: BoolArray = np.cumsum(edges[:-1]) > 0
    return bools
