"""Opening one dataset for reading: only if its values can be had without surprises.

Whose bytes they are, and what would have to run to decode them, is looked at before HDF5 is asked for them: the values
do not show it.
"""

from __future__ import annotations

import h5py
from h5py import h5d, h5p

from h5lightning.errors import BadFileError, MissingFieldError, UnsupportedFieldError
from h5lightning.filters import unknown_filters
from h5lightning.foreign import encoded, link_problem, storage_problem
from h5lightning.opening import CACHE_SLOTS

__all__ = ["filter_problem", "open_dataset"]


def open_dataset(file: h5py.File, path: str, name: str, *, allow_external: str | None = None) -> h5py.Dataset:
    """Open a dataset whose values lie in the file itself, or where the user allows.

    Args:
        file: the open file.
        path: where the file lies.
        name: path of the dataset in the file.
        allow_external: the directory that other files with its values may lie in; None for nowhere.

    Raises:
        BadFileError: HDF5 cannot open it.
        MissingFieldError: the file does not hold it.
        UnsupportedFieldError: it is a group, its values lie elsewhere, or a filter of it may not be asked for.
    """
    try:
        problem = link_problem(file.id, path, name, allow_external)
        if problem is None:
            raise MissingFieldError(f"'/{name}' is not in {path}; see 'h5lightning inspect'")
        opened = None if problem else file[name]
        if isinstance(opened, h5py.Dataset):
            problem = storage_problem(opened.id, path, allow_external) or filter_problem(_filters(opened.id))
        elif not problem:
            problem = "is no dataset; see 'h5lightning inspect'"
        if problem:
            raise UnsupportedFieldError(f"'/{name}' in {path} {problem}")
        return _bypass_cache(file, opened, name) if _needs_no_decoding(opened) else opened
    except (MissingFieldError, UnsupportedFieldError, BadFileError):
        raise
    except (KeyError, OSError, RuntimeError) as error:
        raise BadFileError(f"'/{name}' in {path} cannot be opened: {error}. Copy the file again") from error


def filter_problem(numbers: list[int]) -> str:
    """Why the values may not be decoded, as what a sentence says of the dataset; empty if they may.

    Args:
        numbers: the filters, by HDF5's numbers.
    """
    unknown = unknown_filters(numbers)
    if not unknown:
        return ""
    return (
        f"has filter {unknown[0]}, which is not known here: to find it, HDF5 would load every library of its plug-in "
        "folder. Write the file with a filter of HDF5 or of hdf5plugin"
    )


def _filters(did: h5d.DatasetID) -> list[int]:
    plist = did.get_create_plist()
    return [int(plist.get_filter(position)[0]) for position in range(plist.get_nfilters())]


def _needs_no_decoding(dataset: h5py.Dataset) -> bool:
    layout = dataset.id.get_create_plist()
    return layout.get_layout() == h5d.CHUNKED and not layout.get_nfilters()


def _bypass_cache(file: h5py.File, dataset: h5py.Dataset, name: str) -> h5py.Dataset:
    """The same dataset without a chunk cache.

    To fill the cache, HDF5 reads the whole chunk: 55 instead of 31 µs for 4 KiB of a chunk of 128 KiB.
    """
    plist = h5p.create(h5p.DATASET_ACCESS)
    plist.set_chunk_cache(CACHE_SLOTS, 0, 0.75)
    dataset.id.close()  # else HDF5 gives the new handle the cache of the old one
    return h5py.Dataset(h5d.open(file.id, encoded(name), plist))
