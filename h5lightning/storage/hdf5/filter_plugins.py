"""Filters that HDF5 lacks: hdf5plugin is imported when one of its filters is needed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from h5py import h5pl, h5z
from h5py._objects import phil

from h5lightning.storage.hdf5.filters import filter_name

__all__ = ["plugin_problem"]

# The filters of HDF5, except szip, which some builds lack; and lzf of h5py.
_ALWAYS_THERE = frozenset([1, 2, 3, 5, 6, 32000])

_UNKNOWN = "which neither HDF5 nor the installed hdf5plugin can decode. Rewrite it with another filter"
_NOT_INSTALLED = "which needs a plug-in: pip install 'h5lightning[plugins]' (hdf5plugin)"


def plugin_problem(numbers: Iterable[int]) -> str:
    """Register the filters with HDF5; the reason why it cannot decode, as the predicate of a sentence, or empty.

    Args:
        numbers: the filters, by their numbers in HDF5.
    """
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
