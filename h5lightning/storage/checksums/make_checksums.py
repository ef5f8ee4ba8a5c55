"""Make checksums of all bytes of files and store them: `h5lightning index --checksum`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.process_local import usable_cores
from h5lightning.core.progress import Advance, progress_bar
from h5lightning.errors import BadFileError, OptionError
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.checksum_table import ChecksumTable, FileChecksums, blocks_of_values
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.storage.checksums.checksum_store import ChecksumStore
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.verified_blocks import hashes_of
from h5lightning.storage.hdf5.file_checks import is_gone
from h5lightning.storage.scanning import ScanRequest, scan_files

__all__ = ["ChecksumBuild", "hashes_of_file", "make_checksums"]

_FILES_AT_ONCE = 256  # scanned together, before their bytes are read


@dataclass(frozen=True, slots=True, eq=False)
class ChecksumBuild:
    """The checksums of all files of a root, where they are stored, and how many files were read for them."""

    table: ChecksumTable
    hashed: int
    directory: str


def make_checksums(
    catalog: Catalog,
    *,
    index_dir: str | os.PathLike[str] | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> ChecksumBuild:
    """Read all bytes of files that have no checksums, or were modified since, and store their checksums.

    A file with the same size and time of modification keeps its checksums: any other change in it is damage.

    Args:
        catalog: the files.
        index_dir: directory of the checksums; None for the user's cache directory.
        processes: scanning processes, and reading threads; None for one on each core.
        progress: show a progress bar if stderr is a terminal.

    Raises:
        BadFileError: a file cannot be read, or changes meanwhile.
        OptionError: the checksums cannot be stored.
    """
    store = ChecksumStore(index_dir)
    old = store.load(catalog.root) or ChecksumTable.of({})
    stamps = dict(zip(catalog.names, catalog.stamps[:, :2].tolist(), strict=True))
    checksums = {
        name: old[file]
        for file, name in enumerate(old.names)
        if stamps.get(name, old.stamps[file].tolist()) == old.stamps[file].tolist()
        and (name in stamps or not is_gone(os.path.join(catalog.root, name)))
    }
    new = [name for name in stamps if name not in checksums]
    total = sum(stamps[name][0] for name in new)
    threads = processes or usable_cores()
    with progress_bar("making checksums", total, is_enabled=progress) as advance:
        for start in range(0, len(new), _FILES_AT_ONCE):
            names = new[start : start + _FILES_AT_ONCE]
            paths = [os.path.join(catalog.root, name) for name in names]
            checksums.update(zip(names, _checksums(paths, threads, advance), strict=True))
    try:
        table = store.save(catalog.root, ChecksumTable.of(checksums))
    except OSError as error:
        raise OptionError(
            f"the checksums cannot be stored in {store.directory} ({error.strerror}): set --index-dir or "
            "H5LIGHTNING_CACHE_DIR to a writable directory"
        ) from error
    return ChecksumBuild(table, len(new), store.directory)


def _checksums(paths: Sequence[str], threads: int, advance: Advance) -> Iterator[FileChecksums]:
    # All datasets, not only those of a job: bytes that hold no values are verified before any job begins.
    schemas = scan_files(paths, ScanRequest(None, labels=False), processes=threads, progress=False)
    with ThreadPoolExecutor(threads, "h5lightning-checksum") as executor:
        for sums in executor.map(_checksums_of, paths, schemas):
            advance(sums.size)
            yield sums


def _checksums_of(path: str, schema: FileSchema | BadFileError) -> FileChecksums:
    if isinstance(schema, BadFileError):
        raise schema
    with closing(RawFile(path)) as raw:
        size, mtime_ns = raw.stamp[:2]
        hashes = hashes_of_file(raw)
    return FileChecksums(size, mtime_ns, hashes, blocks_of_values(_parts(schema), size))


def hashes_of_file(raw: RawFile) -> npt.NDArray[np.uint64]:
    """The checksum of each block of a file, ``(blocks,)``.

    Raises:
        BadFileError: the file cannot be read.
        FileChangedError: it changed meanwhile.
    """
    descriptor = raw.descriptor()
    try:
        hashes = hashes_of(descriptor.number, raw.stamp[0])
    except OSError as error:
        raise BadFileError(
            f"{raw.path} cannot be read: {error.strerror}. Check the disk or the mount"
        ) from error
    raw.check()
    return hashes


def _parts(schema: FileSchema) -> Iterator[tuple[Int64Array, Int64Array]]:
    """First bytes and sizes of the stored chunks of each dataset with known extents."""
    for dataset, extents in zip(schema.datasets, schema.extents, strict=True):
        if extents is not None and not extents.reason:
            shape = dataset.chunks or dataset.shape or ()
            chunk_bytes = math.prod(shape) * extents.itemsize(dataset.read_type(None) or dataset.dtype)
            yield extents.offsets, extents.sizes(chunk_bytes)
