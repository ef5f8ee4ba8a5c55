"""How a dataset should be stored, and the HDF5 properties for that."""

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
# The parameters of these filters do not depend on the shape of the chunk, or HDF5 computes them again.
_PORTABLE = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, _LZF}

# Compressors: number, whether bytes are shuffled first, and the plugin that knows the parameters.
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
        dtype: ``float32`` to narrow float64; NumPy's type string for values that HDF5 must convert, such as bit fields;
            empty to keep the type.
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
    """The creation properties of the new dataset: those of the old one, but for the layout and perhaps the filters.

    Args:
        did: the old dataset.
        storage: how it should be stored.
        ranges: the rows that were written. Chunks end where these end, so that no chunk mixes both.
        itemsize: bytes of an element.
    """
    plist = _without_sources(did.get_create_plist())
    chunk_rows = _chunk_rows(did, storage, ranges, itemsize)
    # Each layout has its own allocation time; early allocation would write rows that were never written.
    plist.set_alloc_time(h5d.ALLOC_TIME_DEFAULT)
    if chunk_rows:
        _set_filters(plist, storage)
        plist.set_chunk((chunk_rows, *did.shape[1:]))
    else:
        plist.remove_filter(h5z.FILTER_ALL)
        plist.set_layout(h5d.CONTIGUOUS)
    return plist


def _without_sources(old: h5p.PropDCID) -> h5p.PropDCID:
    """The properties without the source files of external and virtual datasets."""
    if not old.get_external_count() and old.get_layout() != h5d.VIRTUAL:
        return old
    new = h5p.create(h5p.DATASET_CREATE)
    new.set_fill_time(old.get_fill_time())
    new.set_attr_creation_order(old.get_attr_creation_order())
    new.set_obj_track_times(old.get_obj_track_times())
    return new


def _chunk_rows(did: h5d.DatasetID, storage: StorageOptions, ranges: RowRanges, itemsize: int) -> int:
    """Rows of a chunk; 0 for no chunks, which needs a dataset that is complete and cannot grow."""
    rows, max_shape = did.shape[0], did.get_space().get_simple_extent_dims(True)
    if storage.chunk_rows is None and ranges in ([(0, rows)], []) and max_shape == did.shape:
        return 0
    chunk_rows = storage.chunk_rows or max(1, _CHUNK_BYTES // max(1, math.prod(did.shape[1:]) * itemsize))
    chunk_rows = min(chunk_rows, rows if max_shape[0] != h5s.UNLIMITED else max(1, rows))
    borders = {row for written in ranges for row in written} - {0, rows}
    return _largest_divisor(math.gcd(*borders), chunk_rows) if borders else chunk_rows


def _largest_divisor(number: int, limit: int) -> int:
    return next(divisor for divisor in range(min(number, limit), 0, -1) if number % divisor == 0)


def _set_filters(plist: h5p.PropDCID, storage: StorageOptions) -> None:
    """Set the compressor; keep the old filters with their parameters if they fit."""
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
        raise MissingExtraError(f"{name} needs a plugin: pip install 'h5lightning[plugins]'") from error
    return tuple(getattr(module, plugin)(**options).filter_options)


def narrow_fill_value(plist: h5p.PropDCID) -> None:
    """Convert the fill value from float64 to float32."""
    if plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
        value = np.zeros((), "f8")
        plist.get_fill_value(value)
        plist.set_fill_value(value.astype("f4"))
