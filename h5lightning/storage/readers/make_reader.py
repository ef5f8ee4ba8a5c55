"""Makes the reader that the user chose."""

from __future__ import annotations

from h5lightning.options.checks import check_choice
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.auto_reader import AutoReader
from h5lightning.storage.readers.decoded.decode_pool import DecodedChunkRows
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.libhdf5.reader import H5pyReader
from h5lightning.storage.readers.protocol import Reader

__all__ = ["make_reader"]


def make_reader(name: str, pool: HandlePool, *, threads: int = 1) -> Reader:
    """Make a reader.

    Args:
        name: ``h5py``; ``direct``, which refuses what only HDF5 can read; or ``auto``, which reads directly where it
            can and through h5py elsewhere.
        pool: the open files of each process.
        threads: threads that decode chunks, in each process.

    Raises:
        OptionError: an unknown reader.
    """
    check_choice("reader", name, ("auto", "direct", "h5py"))
    decoded = DecodedChunkRows(pool.access.cache_bytes, threads)
    direct, libhdf5 = DirectReader(pool, decoded=decoded), H5pyReader(pool, decoded)
    return {"auto": AutoReader(direct, libhdf5), "direct": direct, "h5py": libhdf5}[name]
