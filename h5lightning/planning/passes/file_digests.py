"""What tells whether the rows of a file that are read are still the same: its stamp, its series, and the rows."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from h5lightning.core.arrays import BoolArray, Bytes, Int64Array
from h5lightning.core.bits import Bits
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.selection import Kept, Members, Selection

__all__ = ["DIGEST_SIZE", "file_digests"]

DIGEST_SIZE = 16
_AT_ONCE = 1 << 20


def file_digests(
    catalog: Catalog, index: SampleIndex, selection: Selection | None, files: Int64Array
) -> Bytes:
    """A digest for each file, ``(files, DIGEST_SIZE)``; equal if the same rows of an unchanged file are read.

    A file is taken for unchanged if its size and time of modification are, as for checksums: so a copy at the
    same path of another machine is not read again.

    Args:
        catalog: the files.
        index: of their rows.
        selection: the rows that are read; None for all.
        files: numbers of some files, ascending.
    """
    # Which rows of a file are in a random subset depends on all files.
    common = b"" if selection is None or selection.subset is None else _digest(selection)
    members = None if selection is None else Members.of(selection.ranges)
    borders = index.first_id[index.first_series]
    found = np.empty((len(files), DIGEST_SIZE), np.uint8)
    for number, file in enumerate(files.tolist()):
        start, stop = borders[file : file + 2].tolist()
        digest = hashlib.blake2b(common, digest_size=DIGEST_SIZE)
        digest.update(index.names[file].encode())
        _update(digest, catalog.stamps[file, :2])
        for path, stamp in catalog.sources.of_file(file) if len(catalog.sources) else ():
            digest.update(f"{path} {stamp}".encode())
        first, last = index.first_series[file : file + 2].tolist()
        _update(digest, index.series_rows[first:last])
        if index.series_start is not None:
            _update(digest, index.series_start[first:last])
        if selection is not None:
            ranges = selection.ranges
            low = int(ranges.stops.searchsorted(start, side="right"))
            high = int(ranges.starts.searchsorted(stop, side="left"))
            _update(digest, np.maximum(ranges.starts[low:high], start) - start)
            _update(digest, np.minimum(ranges.stops[low:high], stop) - start)
            if members is not None and selection.kept is not None and not common:
                for bools in _kept(selection.kept, *members.below(np.asarray([start, stop])).tolist()):
                    digest.update(np.packbits(bools).tobytes())
        found[number] = np.frombuffer(digest.digest(), np.uint8)
    return found


def _kept(kept: Kept, start: int, stop: int) -> Iterator[BoolArray]:
    """Which positions of a range are kept, some at a time."""
    for first in range(start, stop, _AT_ONCE):
        last = min(first + _AT_ONCE, stop)
        yield kept.bools(first, last) if isinstance(kept, Bits) else kept.inverse(np.arange(first, last)) >= 0


def _digest(value: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    _update(digest, value)
    return digest.digest()


def _update(digest: hashlib.blake2b, value: Any) -> None:
    """Add a value that is made of arrays, numbers and texts."""
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(value.tobytes())
    elif dataclasses.is_dataclass(value):
        digest.update(type(value).__name__.encode())
        for item in dataclasses.fields(value):
            _update(digest, getattr(value, item.name))
    elif isinstance(value, (tuple, list)):
        digest.update(str(len(value)).encode())
        for one in value:
            _update(digest, one)
    elif value is None or isinstance(value, (int, float, str)):
        digest.update(repr(value).encode())
    elif isinstance(value, Mapping):
        _update(digest, list(value.items()))
    else:
        raise TypeError(f"there is no digest of {type(value).__name__}")
