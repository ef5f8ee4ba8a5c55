"""Which reader reads what the user's files hold."""

from __future__ import annotations

from h5lightning.options.checks import check_choice
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.decoded.cached_rows import DecodedChunkRows
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.libhdf5.reader import H5pyReader
from h5lightning.storage.readers.protocol import Reader

__all__ = ["make_reader"]


def make_reader(name: str, pool: HandlePool, *, threads: int = 1) -> Reader:
    """The reader that the user asked for.

    Args:
        name: ``h5py``; ``direct``, which refuses what only HDF5 can read; or ``auto``: the direct reader, and h5py
            where it cannot read.
        pool: the open files of each process.
        threads: threads that decode chunks, in each process.

    Raises:
        OptionError: an unknown reader.
    """
    check_choice("reader", name, ("auto", "direct", "h5py"))
    decoded = DecodedChunkRows(pool.access.cache_bytes, threads)
    library = H5pyReader(pool, decoded)
    if name == "h5py":
        return library
    return DirectReader(pool, decoded=decoded, fallback=library if name == "auto" else None)
