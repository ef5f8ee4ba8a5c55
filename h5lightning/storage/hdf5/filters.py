"""The known filters of HDF5, by number.

For any other number, libhdf5 would load every shared object in its plug-in folders to look for the filter. Datasets
that use one are refused before their values are read.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["DEFLATE", "FLETCHER32", "NATIVE_FILTERS", "SHUFFLE", "filter_name", "unknown_filters"]

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
NATIVE_FILTERS = frozenset([1, 2, 3, 4, 5, 6, 32000])  # of HDF5 and h5py: no plug-in is needed

# Those of HDF5 itself, of h5py and of hdf5plugin, by the numbers of
# https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md.
_NAMES = {
    DEFLATE: "deflate",
    SHUFFLE: "shuffle",
    FLETCHER32: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32018: "fcidecomp",
    32024: "sz3",
    32026: "blosc2",
    32028: "sperr",
    32033: "htj2k",
}


def filter_name(number: int) -> str:
    """The name of a filter.

    Example:
        >>> filter_name(32015), filter_name(31999)
        ('zstd', 'filter 31999')
    """
    return _NAMES.get(number, f"filter {number}")


def unknown_filters(numbers: Iterable[int]) -> list[int]:
    """The filters that are not known here, ascending."""
    return sorted(set(numbers) - _NAMES.keys())
