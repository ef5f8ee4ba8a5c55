"""How a dataset shall be stored, and what HDF5 must be told to store it so."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from h5py import h5d, h5p, h5s, h5z

from h5lightning.errors import MissingExtraError, OptionError

__all__ = ["COMPRESSORS", "RowRanges", "StorageOptions", "creation_properties", "narrow_fill_value"]

RowRanges = list[tuple[int, int]]  # first row, and the row after the last one

_CHUNK_BYTES = 256 * 1024
_LZF = 32000
# Their values do not depend on the shape of the chunk, or are made again by HDF5.
_PORTABLE = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, _LZF}

# Filters that make data smaller: number, whether bytes are shuffled before, and the plug-in that knows its values.
COMPRESSORS: dict[str, tuple[int, bool, str, dict[str, Any]]] = {
    "deflate": (h5z.FILTER_DEFLATE, True, "", {}),
    "lzf": (_LZF, True, "", {}),
    "blosc": (32001, False, "Blosc", {"cname": "zstd"}),
    "lz4": (32004, False, "LZ4", {}),
    "bitshuffle": (32008, False, "Bitshuffle", {}),
    "zstd": (32015, True, "Zstd", {}),
    "blosc2": (32026, False, "Blosc2", {"cname": "zstd"}),
}


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """How a dataset should be stored.

    Args:
        chunk_rows: rows of a chunk, each a whole row; None for no chunks.
        filter: the compressor, such as ``deflate``; empty for none.
        dtype: ``float32`` for float64 that should be half as long, NumPy's type string for values that HDF5 must
            convert to it one by one, such as bit fields; empty for the type that it has.
    """

    chunk_rows: int | None = None
    filter: str = ""
    dtype: str = ""

    def __post_init__(self) -> None:
        if self.filter and self.filter not in COMPRESSORS:
            raise OptionError(f"filter must be one of {', '.join(COMPRESSORS)}, found {self.filter!r}")
        if self.filter and not self.chunk_rows:
            raise OptionError(f"filter={self.filter!r} needs chunk_rows: HDF5 compresses chunks")


def creation_properties(
    did: h5d.DatasetID, storage: StorageOptions, ranges: RowRanges, itemsize: int
) -> h5p.PropDCID:
    """What a dataset is created with: all that the old one has, but the layout and, where needed, the filters.

    Args:
        did: the old dataset.
        storage: how it should be stored.
        ranges: the rows that were written. Chunks end where these do, so that no chunk mixes both.
        itemsize: bytes of an element.
    """
    plist = _without_sources(did.get_create_plist())
    height = _height(did, storage, ranges, itemsize)
    # The old layout had its own; early allocation would write all that was never written.
    plist.set_alloc_time(h5d.ALLOC_TIME_DEFAULT)
    if height:
        _set_filters(plist, storage)
        plist.set_chunk((height, *did.shape[1:]))
    else:
        plist.remove_filter(h5z.FILTER_ALL)
        plist.set_layout(h5d.CONTIGUOUS)
    return plist


def _without_sources(old: h5p.PropDCID) -> h5p.PropDCID:
    """The list itself; without the files that values of external and virtual datasets lie in, which would follow."""
    if not old.get_external_count() and old.get_layout() != h5d.VIRTUAL:
        return old
    new = h5p.create(h5p.DATASET_CREATE)
    new.set_fill_time(old.get_fill_time())
    new.set_attr_creation_order(old.get_attr_creation_order())
    new.set_obj_track_times(old.get_obj_track_times())
    return new


def _height(did: h5d.DatasetID, storage: StorageOptions, ranges: RowRanges, itemsize: int) -> int:
    """Rows of a chunk; 0 for no chunks, which only what was written in full and never grows can do without."""
    rows, most = did.shape[0], did.get_space().get_simple_extent_dims(True)[0]
    is_written = ranges in ([(0, rows)], [])
    if (
        storage.chunk_rows is None
        and is_written
        and did.get_space().get_simple_extent_dims(True) == did.shape
    ):
        return 0
    wanted = storage.chunk_rows or max(1, _CHUNK_BYTES // max(1, math.prod(did.shape[1:]) * itemsize))
    wanted = min(wanted, rows if most != h5s.UNLIMITED else max(1, rows))
    cuts = {row for written in ranges for row in written} - {0, rows}
    return _largest_divisor(math.gcd(*cuts), wanted) if cuts else wanted


def _largest_divisor(number: int, most: int) -> int:
    return next(divisor for divisor in range(min(number, most), 0, -1) if number % divisor == 0)


def _set_filters(plist: h5p.PropDCID, storage: StorageOptions) -> None:
    """Those that there are, with their values, where they can stay."""
    codes = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    code = COMPRESSORS[storage.filter][0] if storage.filter else -1
    if code in codes and set(codes) <= _PORTABLE:
        return
    plist.remove_filter(h5z.FILTER_ALL)
    if storage.filter:
        _set_compressor(plist, storage.filter)
        if h5z.FILTER_FLETCHER32 in codes:
            plist.set_fletcher32()


def _set_compressor(plist: h5p.PropDCID, name: str) -> None:
    code, is_shuffled, plugin, options = COMPRESSORS[name]
    if is_shuffled:
        plist.set_shuffle()
    if code == h5z.FILTER_DEFLATE:
        plist.set_deflate(4)
    else:
        values = _plugin_values(name, plugin, options) if plugin else ()
        plist.set_filter(code, h5z.FLAG_OPTIONAL, values)


def _plugin_values(name: str, plugin: str, options: dict[str, Any]) -> tuple[int, ...]:
    try:
        module = importlib.import_module("hdf5plugin")
    except ImportError as error:
        raise MissingExtraError(f"{name} needs a plug-in: pip install 'h5lightning[plugins]'") from error
    return tuple(getattr(module, plugin)(**options).filter_options)


def narrow_fill_value(plist: h5p.PropDCID) -> None:
    """Make the fill value of float64 that of float32."""
    if plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
        value = np.zeros((), "f8")
        plist.get_fill_value(value)
        plist.set_fill_value(value.astype("f4"))
