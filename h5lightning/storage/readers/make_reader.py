"""Makes the reader that the user chose: direct, through h5py, or both in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy.typing as npt

from h5lightning.core.process_local import remade
from h5lightning.options.checks import check_choice
from h5lightning.planning.catalog.schema import HEAP_REFERENCE
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.box_request import BoxRequest
from h5lightning.storage.readers.decoded.decode_pool import DecodedChunkRows
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.libhdf5.reader import H5pyReader
from h5lightning.storage.readers.protocol import DatasetColumn, Reader, ReadRequest
from h5lightning.storage.readers.series_parts import SeriesParts

__all__ = ["AutoReader", "make_reader"]

T = TypeVar("T")


class AutoReader(Reader):
    """Reads directly what needs no HDF5, and everything else through h5py; see `Reader`.

    Both readers share open files and caches.

    Args:
        direct: reads what it can.
        libhdf5: reads the rest.
    """

    def __init__(self, direct: DirectReader, libhdf5: H5pyReader) -> None:
        self._direct = direct
        self._libhdf5 = libhdf5

    @property
    def pool(self) -> HandlePool:
        """See `Reader.pool`."""
        return self._libhdf5.pool

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), {"direct": self._direct, "libhdf5": self._libhdf5})

    def read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> None:
        """Fill the buffers of some requests; see `Reader.read`."""
        for unread_files, unread in self._direct.read_possible(files, requests):
            self._libhdf5.read(unread_files, unread)

    def prefetch(
        self, files: Sequence[str], requests: Sequence[ReadRequest], *, only_remote: bool, is_probe: bool
    ) -> bool:
        """Ask the system to fetch what needs no HDF5; see `Reader.prefetch`."""
        return self._direct.prefetch(files, requests, only_remote=only_remote, is_probe=is_probe)

    def decode_ahead(self, files: Sequence[str], requests: Sequence[ReadRequest], *, reads: int) -> None:
        """Decode the chunks of some rows; see `Reader.decode_ahead`."""
        for undecoded, part in self._direct.decode_possible(files, requests, reads=reads):
            self._libhdf5.decode_ahead(undecoded, part, reads=reads)

    def read_whole(self, file: str | SeriesParts, source: DatasetColumn, out: npt.NDArray[Any]) -> None:
        """Put a dataset without a sample axis into ``out``; see `Reader.read_whole`."""
        if not self._direct.try_read_whole(file, source, out):
            self._libhdf5.read_whole(file, source, out)

    def read_boxes(self, files: Sequence[str], requests: Sequence[BoxRequest]) -> None:
        """Fill the buffers of some requests for boxes; see `Reader.read_boxes`."""
        for unread_files, unread in self._direct.read_boxes_possible(files, requests):
            self._libhdf5.read_boxes(unread_files, unread)

    def prefetch_boxes(
        self, files: Sequence[str], requests: Sequence[BoxRequest], *, only_remote: bool, is_probe: bool
    ) -> bool:
        """Ask the system to fetch what needs no HDF5; see `Reader.prefetch_boxes`."""
        return self._direct.prefetch_boxes(files, requests, only_remote=only_remote, is_probe=is_probe)

    def start_workers(self, count: int, start: Callable[[], T]) -> T:
        """Start processes that share what they decode; see `Reader.start_workers`."""
        return self._direct.start_workers(count, start)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._direct.close()
        self._libhdf5.close()


class GuardedH5pyReader(H5pyReader):
    """Reads through h5py, but for references to bytes of variable length, which HDF5 would follow; see `Reader`.

    Args:
        pool: the open files of each process.
        decoded: caches of decoded chunks, of each process.
    """

    def __init__(self, pool: HandlePool, decoded: DecodedChunkRows) -> None:
        super().__init__(pool, decoded)
        self._direct = DirectReader(pool, decoded=decoded)

    def read(self, files: Sequence[str], requests: Sequence[ReadRequest]) -> None:
        """Fill the buffers of some requests; see `Reader.read`."""
        references, others = _divided(requests)
        if others or not references:
            super().read(files, others)
        # Those that only HDF5 could read are refused there.
        for unread_files, unread in self._direct.read_possible(files, references) if references else ():
            super().read(unread_files, unread)

    def decode_ahead(self, files: Sequence[str], requests: Sequence[ReadRequest], *, reads: int) -> None:
        """Decode the chunks of some rows; see `Reader.decode_ahead`."""
        references, others = _divided(requests)
        if references:
            self._direct.decode_ahead(files, references, reads=reads)
        super().decode_ahead(files, others, reads=reads)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._direct.close()
        super().close()


def _divided(requests: Sequence[ReadRequest]) -> tuple[list[ReadRequest], list[ReadRequest]]:
    """The requests for references to bytes of variable length, and all others."""
    references: list[ReadRequest] = []
    others: list[ReadRequest] = []
    for request in requests:
        (references if request.source.dtype == HEAP_REFERENCE else others).append(request)
    return references, others


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
    if name == "h5py":
        return GuardedH5pyReader(pool, decoded)
    direct = DirectReader(pool, decoded=decoded)
    return direct if name == "direct" else AutoReader(direct, H5pyReader(pool, decoded))
