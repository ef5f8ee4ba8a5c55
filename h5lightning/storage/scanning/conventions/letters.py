"""Text that netCDF stores letter by letter, with an axis for the letters of a word."""

from __future__ import annotations

from h5py import h5t

from h5lightning.storage.scanning.conventions.encodings import is_of_netcdf
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

__all__ = ["holds_words"]


def holds_words(dataset: ScannedDataset) -> bool:
    """Whether the letters along the last axis of a dataset are words, as a library of netCDF writes them."""
    info = dataset.info
    if info.itemsize != 1 or len(info.shape or ()) < 2 or info.did.get_type().get_class() != h5t.STRING:
        return False
    return is_of_netcdf(dataset)
