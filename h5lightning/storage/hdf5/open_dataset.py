"""Opening one dataset for reading, after checking where its values lie and what would decode them."""

from __future__ import annotations

import math

import h5py
from h5py import h5d, h5p

from h5lightning.errors import BadFileError, MissingFieldError, UnsupportedFieldError
from h5lightning.options import Access
from h5lightning.storage.hdf5.external import Sources, encoded, link_problem
from h5lightning.storage.hdf5.external_values import storage_problem
from h5lightning.storage.hdf5.filters import unknown_filters
from h5lightning.storage.hdf5.open_file import CACHE_SLOTS
from h5lightning.storage.hdf5.stored_sizes import stored_size

__all__ = ["chunk_problem", "filter_problem", "open_dataset"]

_SPARE_BYTES = 256 * 1024 * 1024  # by which a chunk may exceed the cache


def open_dataset(
    file: h5py.File, path: str, name: str, access: Access, sources: Sources | None = None
) -> h5py.Dataset:
    """Open a dataset whose values lie in the file itself, or where the user allows.

    ``sources`` collects the other files that its values lie in.

    Raises:
        BadFileError: HDF5 cannot open it.
        MissingFieldError: the file has no such dataset.
        UnsupportedFieldError: it is a group, its values lie elsewhere, it has an unknown filter, or a chunk takes too
            much memory.
    """
    try:
        problem = link_problem(file.id, path, name, access.allow_external, sources=sources)
        if problem is None:
            raise MissingFieldError(f"'/{name}' is not in {path}; see 'h5lightning inspect'")
        opened = None if problem else file[encoded(name)]  # names need not be UTF-8
        if isinstance(opened, h5py.Dataset):
            problem = _problem(opened.id, access, sources)
        elif not problem:
            problem = "is not a dataset; see 'h5lightning inspect'"
        if problem:
            raise UnsupportedFieldError(f"'/{name}' in {path} {problem}")
        return _bypass_cache(file, opened, name) if _needs_no_decoding(opened) else opened
    except (MissingFieldError, UnsupportedFieldError, BadFileError):
        raise
    except (KeyError, OSError, RuntimeError) as error:
        raise BadFileError(f"'/{name}' in {path} cannot be opened: {error}. Copy the file again") from error


def filter_problem(numbers: list[int]) -> str:
    """The reason why values may not be decoded, as the predicate of a sentence; empty if they may."""
    unknown = unknown_filters(numbers)
    if not unknown:
        return ""
    return (
        f"uses unknown filter {unknown[0]} (looking it up would make HDF5 load every plug-in it finds). Write the file "
        "with a filter of HDF5 or of hdf5plugin"
    )


def chunk_problem(chunk_bytes: int, access: Access) -> str:
    """The reason why filtered chunks of this size may not be decoded, as above; empty if they may."""
    if chunk_bytes <= access.cache_bytes + _SPARE_BYTES:
        return ""
    return (
        f"has chunks of {chunk_bytes} bytes, each of which must be decoded as a whole: write it with smaller chunks, "
        f"or set access.cache_bytes to at least that size (now {access.cache_bytes})"
    )


def _problem(did: h5d.DatasetID, access: Access, sources: Sources | None) -> str:
    plist = did.get_create_plist()
    if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count():
        return storage_problem(did, access.allow_external, sources)
    numbers = [int(plist.get_filter(position)[0]) for position in range(plist.get_nfilters())]
    if not numbers:
        return ""
    chunk_bytes = math.prod(plist.get_chunk()) * stored_size(did.get_type())
    return chunk_problem(chunk_bytes, access) or filter_problem(numbers)


def _needs_no_decoding(dataset: h5py.Dataset) -> bool:
    layout = dataset.id.get_create_plist()
    return layout.get_layout() == h5d.CHUNKED and not layout.get_nfilters()


def _bypass_cache(file: h5py.File, dataset: h5py.Dataset, name: str) -> h5py.Dataset:
    """Open the same dataset without a chunk cache.

    To fill its cache, HDF5 reads the whole chunk: 55 instead of 31 µs for 4 KiB of a chunk of 128 KiB.
    """
    plist = h5p.create(h5p.DATASET_ACCESS)
    plist.set_chunk_cache(CACHE_SLOTS, 0, 0.75)
    dataset.id.close()  # otherwise the new handle shares the cache of the old one
    return h5py.Dataset(h5d.open(file.id, encoded(name), plist))
