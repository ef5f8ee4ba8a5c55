"""The known filters of HDF5, by number; hdf5plugin is imported when one of its filters is needed.

For any other number, libhdf5 would load every shared object in its plug-in folders to look for the filter. Datasets
that use one are refused before their values are read.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from h5py import h5pl, h5z
from h5py._objects import phil

__all__ = [
    "DEFLATE",
    "FLETCHER32",
    "NATIVE_FILTERS",
    "SHUFFLE",
    "filter_name",
    "plugin_problem",
    "unknown_filters",
]

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
NATIVE_FILTERS = frozenset([1, 2, 3, 4, 5, 6, 32000])  # of HDF5 and h5py: no plug-in is needed
_ALWAYS_THERE = NATIVE_FILTERS - {4}  # some builds lack szip

_UNKNOWN = "which neither HDF5 nor the installed hdf5plugin can decode. Rewrite it with another filter"
_NOT_INSTALLED = "which needs a plug-in: pip install 'h5lightning[plugins]' (hdf5plugin)"

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


def plugin_problem(numbers: Iterable[int]) -> str:
    """Register the filters with HDF5; the reason why it cannot decode, as the predicate of a sentence, or empty."""
    for number in numbers:
        if number not in _ALWAYS_THERE and not _is_registered(number):
            is_installed = _register()
            # Only now may HDF5 search its plug-in folders.
            if not _is_registered(number) and not h5z.filter_avail(number):
                return f"is stored with {filter_name(number)}, {_UNKNOWN if is_installed else _NOT_INSTALLED}"
    return ""


def _is_registered(number: int) -> bool:
    with phil, _without_folders():
        return bool(h5z.filter_avail(number))


def _register() -> bool:
    """Register the filters of hdf5plugin; returns whether it is installed."""
    # Its import looks each filter up, for which HDF5 would load all libraries in its plug-in folders.
    # The lock of h5py must not be held: another thread may be importing, and wait for it.
    with _without_folders():
        try:
            importlib.import_module("hdf5plugin")
        except ImportError:
            return False
    return True


@contextmanager
def _without_folders() -> Iterator[None]:
    """Keep HDF5 from loading plug-ins inside of the ``with`` block."""
    with phil:
        folders = [h5pl.get(position) for position in range(h5pl.size())]
        for _ in folders:
            h5pl.remove(0)
    try:
        yield
    finally:
        with phil:
            for folder in folders:
                h5pl.append(folder)
