"""Filters that HDF5 itself lacks: hdf5plugin brings most of them, and is imported where one is needed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from h5py import h5pl, h5z
from h5py._objects import phil

from h5lightning.storage.hdf5.filters import filter_name

__all__ = ["plugin_problem"]

# Of HDF5, but for szip, which some builds lack; and lzf of h5py.
_ALWAYS_THERE = frozenset([1, 2, 3, 5, 6, 32000])


def plugin_problem(numbers: Iterable[int]) -> str:
    """Make HDF5 ready to decode; why it cannot, as what a sentence says of the dataset; empty if it can.

    Args:
        numbers: the filters, by HDF5's numbers.
    """
    for number in numbers:
        if number not in _ALWAYS_THERE and not _is_registered(number):
            is_installed = _register()
            # That HDF5 looks into its plug-in folders is the last resort.
            if not _is_registered(number) and not h5z.filter_avail(number):
                return _problem(filter_name(number), is_installed=is_installed)
    return ""


def _problem(name: str, *, is_installed: bool) -> str:
    if is_installed:
        return (
            f"is stored with {name}, which neither HDF5 nor the installed hdf5plugin can decode. Write it again with "
            "another filter"
        )
    return f"is stored with {name}, which HDF5 reads with a plug-in: pip install 'h5lightning[plugins]' (hdf5plugin)"


def _is_registered(number: int) -> bool:
    with phil, _without_folders():
        return bool(h5z.filter_avail(number))


def _register() -> bool:
    """Register what hdf5plugin has; whether it is installed."""
    # It asks HDF5 for each of its filters, and HDF5 would load all libraries of its plug-in folders to find them.
    # The lock of h5py must not be held: another thread may be importing, and wait for it.
    with _without_folders():
        try:
            importlib.import_module("hdf5plugin")
        except ImportError:
            return False
    return True


@contextmanager
def _without_folders() -> Iterator[None]:
    """HDF5 loads no plug-ins meanwhile."""
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
